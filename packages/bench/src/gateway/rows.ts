import type { PeerId } from './peers/index.ts'

/** A process under measurement; several rows may ask the same one. */
export type ServerId = 'ours' | 'http-proxy' | 'undici' | PeerId

/**
 * One line of the result: what is asked of which server.
 *
 * - `token`: the request carries the access token of a signed-in user.
 * - `cached`: answers must come from the proxy, not from the origin; otherwise each must come from the origin.
 */
export type RowSpec = { id: string; server: ServerId; label: string; path: string; token: boolean; cached: boolean }

const proxied = { path: '/v1/posts/1', token: true, cached: false }

export const ROWS: readonly RowSpec[] = [
  { ...proxied, id: 'ours', server: 'ours', label: 'Skerry, everything on' },
  { ...proxied, id: 'ours-open', server: 'ours', label: 'Skerry, no token, address exempt', token: false },
  {
    id: 'ours-cached',
    server: 'ours',
    label: 'Skerry, public GET from its cache',
    path: '/v1/cached/1',
    token: false,
    cached: true
  },
  { ...proxied, id: 'http-proxy', server: 'http-proxy', label: '@fastify/http-proxy' },
  { ...proxied, id: 'undici', server: 'undici', label: 'Node http + undici' },
  { ...proxied, id: 'nginx', server: 'nginx', label: 'nginx' },
  { ...proxied, id: 'haproxy', server: 'haproxy', label: 'HAProxy' },
  { ...proxied, id: 'envoy', server: 'envoy', label: 'Envoy' },
  { ...proxied, id: 'traefik', server: 'traefik', label: 'Traefik' },
  { ...proxied, id: 'caddy', server: 'caddy', label: 'Caddy' }
]

/** Not a load but a count: how often the service is asked when many miss the cache at once. */
export const COALESCING = 'coalescing'

export const ROW_NAMES: readonly string[] = [...ROWS.map(({ id }) => id), COALESCING]

/** The rows of those names, all without any. */
export function chooseRows(names: readonly string[] | undefined): RowSpec[] {
  return ROWS.filter(({ id }) => names?.includes(id) ?? true)
}
