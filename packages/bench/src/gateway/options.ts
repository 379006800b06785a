import { parseArgs } from 'node:util'
import { ROW_NAMES, ROWS } from './rows.ts'

export type GatewayOptions = {
  rounds: number
  /** Fewest requests of a row in a round. */
  requests: number
  /** Names of rows; undefined: all. */
  only: string[] | undefined
  /** The row to profile in place of measuring. */
  profile: string | undefined
}

export const GATEWAY_HELP = `npm run bench -- gateway [--rounds N] [--requests N] [--only row,row] [--profile row]

Measures our gateway with everything on (token, limits, balancing over two instances, metrics, log) beside other proxies in one run, in
rounds that take turns, before the same origin, each with one worker. Peers that are not installed are left out, and it says how to install
them. CPU is user and system time of all processes of a proxy; figures are medians of the rounds, ratios medians of each round's own.

  --rounds N         rounds after the warm-up (5)
  --requests N       requests of a row in a round, at least (60000): CPU is told in steps of 10 ms
  --only row,row     some of: ${ROW_NAMES.join(', ')}
  --profile row      runs one row of a Node proxy under the CPU profiler and prints where the time goes
  --help             this

A run of all rows is kept in packages/bench/results as gateway.json and gateway.svg. wrk makes the load where it is installed
(apt-get install wrk), else autocannon.
`

/** The rows that a profile of Node can be taken of. */
const PROFILED = ROWS.filter(({ server }) => ['ours', 'http-proxy', 'undici'].includes(server)).map(({ id }) => id)

/** Reads the arguments after `gateway`; throws one line that says what is wrong with them. */
export function parseGatewayOptions(args: string[]): GatewayOptions | 'help' {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '5' },
      requests: { type: 'string', default: '60000' },
      only: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false }
    }
  })
  if (values.help) return 'help'
  const only = values.only?.split(',')
  for (const name of only ?? []) oneOf('only', name, ROW_NAMES)
  if (values.profile !== undefined) oneOf('profile', values.profile, PROFILED)
  return {
    rounds: count('rounds', values.rounds, 100),
    requests: count('requests', values.requests, 10_000_000),
    only,
    profile: values.profile
  }
}

function oneOf(option: string, name: string, names: readonly string[]): void {
  if (!names.includes(name)) throw new Error(`--${option}: there is no "${name}" among ${names.join(', ')}.`)
}

function count(option: string, text: string, highest: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > highest) {
    throw new Error(`--${option} is a whole number from 1 to ${highest}, not "${text}".`)
  }
  return value
}
