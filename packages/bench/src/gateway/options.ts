import { parseArgs } from 'node:util'
import { ROWS } from './rows.ts'

export type GatewayOptions = {
  rounds: number
  /** Fewest requests of a row in a round. */
  requests: number
  only: string[] | undefined
  /** The server to profile in place of measuring. */
  profile: string | undefined
}

export const GATEWAY_HELP = `npm run bench -- gateway [--rounds N] [--requests N] [--only row,row] [--profile row]

Measures our gateway with everything on (token, limits, balancing over two instances, metrics, log) beside other proxies in one run, in rounds
that take turns, before the same origin. CPU is user and system time of all processes of a proxy.

  --rounds N         rounds, of which medians are told (5)
  --requests N       requests of a row in a round, at least (20000)
  --only row,row     some rows: ${ROWS.map(({ id }) => id).join(', ')}
  --profile row      runs that row alone under Node's CPU profiler and prints where the time goes
  --help             this
`

/** Reads the arguments after \`gateway\`; throws one line that says what is wrong with them. */
export function parseGatewayOptions(args: string[]): GatewayOptions | 'help' {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '5' },
      requests: { type: 'string', default: '20000' },
      only: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false }
    }
  })
  if (values.help) return 'help'
  return {
    rounds: count('rounds', values.rounds, 100),
    requests: count('requests', values.requests, 10_000_000),
    only: values.only?.split(','),
    profile: values.profile
  }
}

function count(name: string, text: string, highest: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > highest) {
    throw new Error(`--${name} is a whole number from 1 to ${highest}, not "${text}"`)
  }
  return value
}
