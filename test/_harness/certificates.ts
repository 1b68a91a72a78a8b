import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** An authority, and a certificate that it signed. Everything as PEM text. */
export interface Certificates {
  ca: string;
  cert: string;
  key: string;
}

/** Makes them with openssl, as users do. @param names as in `subjectAltName`: `DNS:as.example.test,IP:127.0.0.1` */
export function certificates(names: string): Certificates {
  const folder = mkdtempSync(join(tmpdir(), "certificates-"));
  const openssl = (line: string) => execFileSync("openssl", line.split(" "), { cwd: folder, stdio: "pipe" });
  const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
  try {
    writeFileSync(join(folder, "names"), `subjectAltName=${names}\n`);
    openssl(`req -x509 ${key} -keyout ca.key -out ca.crt -days 2 -subj /CN=authority`);
    openssl(`req ${key} -keyout one.key -out one.csr -subj /CN=one`);
    openssl("x509 -req -in one.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out one.crt -days 2 -extfile names");
    const pem = (name: string) => readFileSync(join(folder, name), "utf8");
    return { ca: pem("ca.crt"), cert: pem("one.crt"), key: pem("one.key") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
