const COMMANDS: Record<string, { line: string; more: string }> = {
  up: {
    line: 'start the stores, all services and the gateway (npm start)',
    more: `skerry up [--demo]

Finds or fetches mongod, nats-server and Redis, starts them, then two instances of each service and the gateway,
and prints where everything is. Ctrl-C stops all of it in order; the next start finds the data again.

  --demo         load the demo data once all is ready

  PORT           the gateway's port (8080; 0 takes a free one)
  SKERRY_HOME    folder for data, binaries, keys and logs (.skerry)
  SKERRY_BIN     folder for fetched store binaries (<home>/bin)
  LOG_LEVEL      level of the services' logs (info)
`
  },
  demo: {
    line: 'load real mails as demo data into the running system (npm run demo)',
    more: `skerry demo [--limit N] [--url URL]

Loads the ham of the Spam Assassin corpus through the public API: senders become users, mails posts, replies comments.
It can be interrupted and run again; what is loaded already is passed over.

  --limit N      only the first N mails
  --url URL      another gateway than the one that runs here
`
  },
  status: {
    line: 'show what runs',
    more: 'skerry status\n\nReads run.json of SKERRY_HOME and says whether each part is ready.\n'
  },
  stop: {
    line: 'stop what runs, as Ctrl-C would',
    more: 'skerry stop\n\nTells the skerry that runs in SKERRY_HOME to end, and waits for it.\n'
  },
  test: {
    line: 'check and test every package against real stores (npm test)',
    more: `skerry test [--faults] [package…]

Type-checks, lints, holds the boundaries and runs the tests of all packages, or of those named.

  --faults       the long fault tests (npm run test:faults)
`
  },
  bench: {
    line: 'measure (npm run bench)',
    more: `skerry bench [system|gateway]

  system    start, memory and routes of a system of its own, under load
  gateway   the gateway beside other proxies; its options: skerry bench gateway --help
`
  },
  version: { line: 'print the version', more: 'skerry version\n' }
}

export const HELP = `Skerry: a mobile backend that teams run as independent services.

Usage: skerry <command>

${Object.entries(COMMANDS)
  .map(([name, { line }]) => `  ${name.padEnd(9)} ${line}`)
  .join('\n')}

More on one: skerry help <command>
`

/** The help of one command, or of all when there is none of that name. */
export function helpOf(name: string): string {
  return COMMANDS[name]?.more ?? HELP
}
