import { execFileSync } from 'node:child_process'

let prefix: readonly string[] | undefined

/**
 * What to put before a command so that its process gets SIGTERM when ours ends in whatever way, `kill -9` included. Empty where the system
 * has no such tool (util-linux's setpriv): an orphan is then ended by the next start.
 */
export function tether(): readonly string[] {
  if (prefix === undefined) {
    const wanted = ['setpriv', '--pdeathsig', 'TERM', '--']
    try {
      execFileSync('setpriv', [...wanted.slice(1), 'true'], { stdio: 'ignore', timeout: 2_000 })
      prefix = wanted
    } catch {
      // Not there, or too old to know the option.
      prefix = []
    }
  }
  return prefix
}
