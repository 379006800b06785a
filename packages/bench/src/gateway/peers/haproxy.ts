import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Peer } from './peer.ts'

export const HAPROXY: Peer = {
  label: 'HAProxy',
  program: 'haproxy',
  install: 'apt-get install haproxy',
  versionArgs: ['-v'],
  async configure({ upstream, port, folder }) {
    const file = join(folder, 'haproxy.cfg')
    await writeFile(
      file,
      `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend door
  bind 127.0.0.1:${port}
  default_backend origin
backend origin
  server one ${upstream}
`
    )
    return { args: ['-db', '-q', '-f', file] }
  }
}
