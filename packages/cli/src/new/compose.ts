export const COMPOSE = 'docker-compose.yml'

/** docker-compose.yml with one more service, ahead of the gateway's, which is the last one. */
export function withService(compose: string, section: string): string {
  const anchor = '\n  gateway:\n'
  if (!compose.includes(anchor)) throw new Error('docker-compose.yml has no service named gateway to write ahead of')
  return compose.replace(anchor, () => `\n${section}${anchor.slice(1)}`)
}
