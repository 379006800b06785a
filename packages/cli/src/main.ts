import { parseArgs } from 'node:util'
import { StartError } from '@skerry/stores'
import type { GatewayOptions } from './gateway.ts'
import { HELP, helpOf } from './help.ts'
import type { NewOptions } from './new/index.ts'
import { REPOSITORY, VERSION } from './repository.ts'
import type { TrafficOptions } from './traffic/parse.ts'

/** The commands; each is loaded when it is asked for, so that help is instant. */
const COMMANDS: Record<string, (args: string[]) => Promise<number>> = {
  async up(args) {
    const { values } = parse(args, {
      demo: { type: 'boolean', default: false },
      with: { type: 'string', multiple: true, default: [] }
    })
    const { up } = await import('./up/up.ts')
    return up({ demo: values.demo === true, with: values.with as string[] })
  },
  async demo(args) {
    const { values } = parse(args, { limit: { type: 'string' }, url: { type: 'string' } })
    const { demo } = await import('./up/demo.ts')
    return demo({
      ...(values.limit === undefined ? {} : { limit: Number(values.limit) }),
      ...(values.url === undefined ? {} : { url: String(values.url) })
    })
  },
  async status() {
    const { status } = await import('./up/status.ts')
    return status()
  },
  async stop() {
    const { stop } = await import('./up/status.ts')
    return stop()
  },
  async new(args) {
    const { values, positionals } = parse(args, { entity: { type: 'string' } }, true)
    const { runNew } = await import('./new/index.ts')
    return runNew(positionals, values as NewOptions)
  },
  async test(args) {
    const { runTests } = await import('./test-run/index.ts')
    const faults = args.includes('--faults')
    return runTests({ repo: REPOSITORY, args: args.filter((a) => a !== '--faults'), faults })
  },
  async contracts(args) {
    const { values, positionals } = parse(
      args,
      { released: { type: 'boolean' }, retire: { type: 'string', multiple: true } },
      true
    )
    const { contracts } = await import('./contracts/index.ts')
    return contracts(REPOSITORY, positionals, values as { released?: boolean; retire?: string[] })
  },
  async bench(args) {
    const { runBench } = await import('./up/bench.ts')
    return runBench(args)
  },
  async gateway(args) {
    const text = { type: 'string' } as const
    const { values } = parse(args, {
      route: { type: 'string', multiple: true },
      'routes-file': text,
      rules: text,
      port: text,
      jwks: text,
      issuer: text,
      audience: text,
      redis: text,
      workers: text,
      health: text
    })
    const { runGateway } = await import('./gateway.ts')
    return runGateway(values as GatewayOptions)
  },
  async traffic(args) {
    const { values, positionals } = parse(
      args,
      {
        header: { type: 'string', multiple: true },
        mirror: { type: 'string' },
        reset: { type: 'boolean', default: false }
      },
      true
    )
    const { traffic } = await import('./traffic/index.ts')
    return traffic(positionals, values as TrafficOptions)
  },
  async events(args) {
    const { events } = await import('./events/index.ts')
    return events(args, { env: process.env, out: process.stdout, err: process.stderr })
  },
  async participants(args) {
    const { positionals } = parse(args, {}, true)
    const { participants } = await import('./participants.ts')
    return participants(positionals)
  },
  async collisions(args) {
    const { values } = parse(args, { json: { type: 'boolean', default: false } })
    const { collisions } = await import('./collisions.ts')
    return collisions({ env: process.env, out: process.stdout, err: process.stderr }, { json: values.json === true })
  },
  async subscriber(args) {
    parse(args, {})
    const { subscriber } = await import('./subscriber.ts')
    return subscriber()
  },
  async version() {
    process.stdout.write(`${VERSION}\n`)
    return 0
  }
}

/** Options that a command does not have. */
class UsageError extends Error {}

function parse(
  args: string[],
  options: NonNullable<Parameters<typeof parseArgs>[0]>['options'],
  allowPositionals = false
) {
  try {
    return parseArgs({ args, options: options ?? {}, strict: true, allowPositionals })
  } catch (error) {
    throw new UsageError((error as Error).message.replace(/\.?$/, '.'))
  }
}

async function main([name = 'help', ...rest]: string[]): Promise<number> {
  // `npm start -- --demo` and `skerry up -- --demo` mean the same.
  const args = rest.filter((a) => a !== '--')
  if (name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(args[0] === undefined ? HELP : helpOf(args[0]))
    return 0
  }
  if (name === '--version' || name === '-v') return main(['version'])
  // A bench has options of its own and tells of them itself.
  const benchHelp = name === 'bench' && args[0] !== undefined && !args[0].startsWith('-')
  if (!benchHelp && (args.includes('--help') || args.includes('-h'))) {
    process.stdout.write(helpOf(name))
    return 0
  }
  const command = COMMANDS[name]
  if (command === undefined) throw new StartError(`there is no command "${name}". See: skerry help`)
  try {
    return await command(args)
  } catch (error) {
    if (error instanceof UsageError) throw new StartError(`${error.message} See: skerry help ${name}`)
    throw error
  }
}

// Who read the output has gone (`skerry events lag | head`): what then runs on ends as it does when it is told to.
let unread = false
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  if (!unread) process.kill(process.pid, 'SIGTERM')
  unread = true
})

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof StartError)) throw error
  process.stderr.write(`skerry: ${error.message}\n`)
  process.exitCode = 1
}
