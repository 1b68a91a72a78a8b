// nginx in its two parts: the proxy that is measured as a target, and the upstream for the answers that it can give
// faster than Node (nginx answers from one C process; a Node upstream would itself be the limit of W1 and W2).
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { answers, requestBody } from "./workloads.mjs";

// Distributions put it where only root's PATH looks.
const command = ["nginx", "/usr/sbin/nginx"].find((name) => spawnSync(name, ["-v"]).status === 0);

/** Whether nginx can be started here. */
export const hasNginx = command !== undefined;

/** Which kinds nginx answers: it has no way to write one chunk per event, and 5 MB leave Node's memory faster than a file. */
export const nginxKinds = ["w1", "w2", "w5"];

// One process, no master: the same as one worker, and nothing is left behind when it is killed.
function writeConfig(folder, http) {
  mkdirSync(folder, { recursive: true });
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const config = `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events { worker_connections 20000; }
http {
  access_log off;
  keepalive_requests 4294967295;
  keepalive_timeout 3600s;
  ${temporary.join("\n  ")}
${http}
}
`;
  writeFileSync(join(folder, "nginx.conf"), config);
  return { command, args: ["-e", "stderr", "-p", folder, "-c", join(folder, "nginx.conf")] };
}

/**
 * nginx as a streaming reverse proxy in front of `upstream`.
 * @param {{ folder: string, port: number, upstream: string }} options
 */
export function nginxProxy({ folder, port, upstream }) {
  return writeConfig(
    folder,
    `  upstream bench {
    server ${new URL(upstream).host};
    keepalive 512;
    keepalive_requests 4294967295;
    keepalive_timeout 3600s;
  }
  server {
    listen 127.0.0.1:${port};
    location = /bench/mcp {
      proxy_pass http://bench/mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 3600s;
    }
  }`,
  );
}

/**
 * nginx as the upstream. It cannot read a body, so it takes a POST with a session and a body of about the right size (or of
 * unknown size) for the tools/call; everything else, which is the handshake, goes to the Node upstream at `handshakePort`.
 * @param {{ folder: string, port: number, kind: string, handshakePort: number }} options
 */
export function nginxUpstream({ folder, port, kind, handshakePort }) {
  const { type, body } = answers[kind];
  const hundreds = Math.floor(requestBody.length / 100);
  return writeConfig(
    folder,
    `  map "$request_method $http_mcp_session_id $content_length" $is_call {
    default 0;
    "~^POST .+ (${hundreds}\\d\\d)?$" 1;
  }
  server {
    listen 127.0.0.1:${port};
    default_type ${type};
    location = /mcp {
      if ($is_call = 0) { rewrite ^ /handshake last; }
      return 200 '${body.toString().replaceAll("\n", "\\n")}';
    }
    location = /handshake {
      internal;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_read_timeout 3600s;
      proxy_pass http://127.0.0.1:${handshakePort}/mcp;
    }
  }`,
  );
}
