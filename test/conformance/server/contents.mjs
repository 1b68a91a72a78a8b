/** What the suite's server scenarios read: resources, prompts, and the pieces that tools answer with. */

/** A red pixel, as PNG. */
export const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/** One sample of silence, as WAV. */
export const WAV = "UklGRiUAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQEAAACA";

export const text = (value) => ({ type: "text", text: value });
export const image = { type: "image", data: PNG, mimeType: "image/png" };
/** Requests to a client, as tools and prompts ask them. */
export const elicitation = (message, properties, required = []) => ({
  method: "elicitation/create",
  params: { message, requestedSchema: { type: "object", properties, required } },
});
export const sampling = (question, maxTokens) => ({
  method: "sampling/createMessage",
  params: { messages: [{ role: "user", content: text(question) }], maxTokens },
});
export const roots = { method: "roots/list", params: {} };

const fromUser = (content) => ({ role: "user", content });

/** Resources by URI. */
export const resources = {
  "test://static-text": {
    name: "static-text",
    description: "A text that never changes",
    mimeType: "text/plain",
    content: { text: "This is the content of the static text resource." },
  },
  "test://static-binary": {
    name: "static-binary",
    description: "An image that never changes",
    mimeType: "image/png",
    content: { blob: PNG },
  },
  "test://watched-resource": {
    name: "watched-resource",
    description: "Something to subscribe to",
    mimeType: "text/plain",
    content: { text: "Nothing has happened." },
  },
};

export const template = {
  uriTemplate: "test://template/{id}/data",
  name: "template",
  description: "Data of whatever id is asked for",
  mimeType: "application/json",
};

/** What `resources/read` answers for a URI; `undefined` where there is nothing. */
export function read(uri) {
  const fixed = resources[uri];
  if (fixed) return { uri, mimeType: fixed.mimeType, ...fixed.content };
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) return undefined;
  const data = { id, templateTest: true, data: `Data for ID: ${id}` };
  return { uri, mimeType: template.mimeType, text: JSON.stringify(data) };
}

/** Prompts by name: what is listed, and the messages for given arguments and the call (see `tools.mjs`). */
export const prompts = {
  test_simple_prompt: {
    description: "A prompt without arguments",
    messages: () => [fromUser(text("This is a simple prompt for testing."))],
  },
  test_prompt_with_arguments: {
    description: "A prompt that shows its arguments",
    arguments: [
      { name: "arg1", description: "The first one", required: true },
      { name: "arg2", description: "The second one", required: true },
    ],
    messages: ({ arg1, arg2 }) => [fromUser(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
  },
  test_prompt_with_embedded_resource: {
    description: "A prompt that holds a resource",
    arguments: [{ name: "resourceUri", description: "Its URI", required: true }],
    messages: ({ resourceUri: uri }) => [
      fromUser({
        type: "resource",
        resource: { uri, mimeType: "text/plain", text: "Embedded resource content for testing." },
      }),
      fromUser(text("Please process the embedded resource above.")),
    ],
  },
  test_prompt_with_image: {
    description: "A prompt that holds an image",
    messages: () => [fromUser(image), fromUser(text("Please analyze the image above."))],
  },
  test_input_required_result_prompt: {
    description: "A prompt that asks the user for its context",
    async messages(_args, { ask }) {
      const context = { context: { type: "string" } };
      const { user_context: answer } = await ask({
        user_context: elicitation("What context should the prompt use?", context, ["context"]),
      });
      return [fromUser(text(`In the context of ${answer.content?.context}:`))];
    },
  },
};
