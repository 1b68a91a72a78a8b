/** Of this package; what the proxy says about itself where it is the client. */
export const VERSION = "0.1.0";
