import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KEPT_CONNECTIONS, type Peer, type PeerSetup } from './peer.ts'

/** More than a run asks: a connection must not end in its middle. */
const REQUESTS = 1_000_000_000

export const NGINX: Peer = {
  label: 'nginx',
  program: 'nginx',
  install: 'apt-get install nginx',
  versionArgs: ['-v'],
  async configure({ upstream, port, folder }) {
    const text = nginxConfig(
      join(folder, 'nginx-proxy'),
      `upstream origin {
    server ${upstream};
    keepalive ${KEPT_CONNECTIONS};
    keepalive_requests ${REQUESTS};
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }`
    )
    return { args: await nginxArgs(join(folder, 'nginx-proxy.conf'), text) }
  }
}

/** An nginx that answers every path with the same JSON, on two ports. `$request_id` tells one answer from another. */
export function nginxOrigin(folder: string, ports: readonly number[], body: string): Promise<string[]> {
  const text = nginxConfig(
    join(folder, 'nginx-origin'),
    `server {
    ${ports.map((port) => `listen 127.0.0.1:${port};`).join(' ')}
    location / {
      default_type application/json;
      add_header ETag '"1.abc"';
      add_header X-Origin-Request $request_id;
      return 200 '${body}';
    }
  }`
  )
  return nginxArgs(join(folder, 'nginx-origin.conf'), text)
}

/** An nginx that passes bodies through as they come: nothing in files, in buffers of 64 KiB. */
export function nginxBodies({ upstream, port, folder }: PeerSetup): Promise<string[]> {
  const text = nginxConfig(
    join(folder, 'nginx-bodies'),
    `upstream origin {
    server ${upstream};
    keepalive ${KEPT_CONNECTIONS};
  }
  server {
    listen 127.0.0.1:${port};
    client_max_body_size 0;
    client_body_buffer_size 64k;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_buffer_size 64k;
    proxy_buffers 8 64k;
    proxy_busy_buffers_size 128k;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }`
  )
  return nginxArgs(join(folder, 'nginx-bodies.conf'), text)
}

async function nginxArgs(file: string, text: string): Promise<string[]> {
  await writeFile(file, text)
  return ['-c', file, '-e', 'stderr']
}

/** What nginx writes begins with `prefix`. It deletes its pid file when it ends, so that must be one of its own. */
function nginxConfig(prefix: string, servers: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `daemon off;
worker_processes 1;
pid ${prefix}.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests ${REQUESTS};
  keepalive_timeout 600s;
  ${temporary.map((kind) => `${kind}_temp_path ${prefix}-${kind};`).join('\n  ')}
  ${servers}
}
`
}
