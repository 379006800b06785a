/** A process under measurement; several rows may ask the same one. */
export type ServerId = 'ours' | 'http-proxy'

/** One line of the result: what is asked of which server. */
export type RowSpec = { id: string; server: ServerId; label: string; path: string; token: boolean }

const POST = '/v1/posts/1'

export const ROWS: readonly RowSpec[] = [
  { id: 'ours', server: 'ours', label: 'Skerry, everything on', path: POST, token: true },
  { id: 'ours-open', server: 'ours', label: 'Skerry, no token, exempt from limits', path: POST, token: false },
  { id: 'http-proxy', server: 'http-proxy', label: '@fastify/http-proxy alone', path: POST, token: true }
]

/** The rows that `--only` names, all without it. Throws one line when there is no such row. */
export function chooseRows(names: readonly string[] | undefined): RowSpec[] {
  const unknown = names?.find((name) => !ROWS.some(({ id }) => id === name))
  if (unknown !== undefined) throw new Error(`there is no row "${unknown}": ${ROWS.map(({ id }) => id).join(', ')}`)
  return ROWS.filter(({ id }) => names?.includes(id) ?? true)
}
