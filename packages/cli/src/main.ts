import { parseArgs } from 'node:util'
import { StartError } from '@skerry/stores'
import type { FaultArgs } from './fault-run/index.ts'
import type { GatewayOptions } from './gateway.ts'
import { HELP, helpOf } from './help.ts'
import type { MutationOptions } from './mutation/index.ts'
import type { NewOptions } from './new/index.ts'
import { homeFolder, REPOSITORY, VERSION } from './repository.ts'
import type { RepeatValues } from './test-repeat/command.ts'
import type { TrafficOptions } from './traffic/parse.ts'

/** The commands; each is loaded when it is asked for, so that help is instant. */
const COMMANDS: Record<string, (args: string[]) => Promise<number>> = {
  async up(args) {
    const { values } = parse(args, {
      demo: { type: 'boolean', default: false },
      with: { type: 'string', multiple: true, default: [] },
      scale: { type: 'string', multiple: true, default: [] }
    })
    const { up } = await import('./up/up.ts')
    return up({ demo: values.demo === true, with: values.with as string[], scale: values.scale as string[] })
  },
  async demo(args) {
    const { values } = parse(args, {
      limit: { type: 'string' },
      all: { type: 'boolean', default: false },
      url: { type: 'string' }
    })
    const { demo } = await import('./up/demo.ts')
    return demo({
      all: values.all === true,
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
    const { values, positionals } = parse(
      args,
      {
        faults: { type: 'boolean', default: false },
        weights: { type: 'boolean', default: false },
        jobs: { type: 'string' }
      },
      true
    )
    const { runTests } = await import('./test-run/index.ts')
    return runTests({
      repo: REPOSITORY,
      args: positionals,
      faults: values.faults === true,
      weights: values.weights === true,
      ...(values.jobs === undefined ? {} : { jobs: count(values.jobs, '--jobs') })
    })
  },
  async faults(args) {
    const { values, positionals } = parse(
      args,
      {
        ...{ list: { type: 'boolean' }, resume: { type: 'boolean' } },
        ...{ seed: { type: 'string' }, rounds: { type: 'string' } }
      },
      true
    )
    const { runFaults } = await import('./fault-run/index.ts')
    return runFaults({ repo: REPOSITORY, home: homeFolder(process.env), names: positionals, ...(values as FaultArgs) })
  },
  async repeat(args) {
    const text = { type: 'string' } as const
    const flag = { type: 'boolean', default: false } as const
    const several = { type: 'string', multiple: true, default: [] } as { type: 'string'; multiple: true }
    const { values, positionals } = parse(
      args,
      {
        ...{ runs: text, jobs: text, seed: text, 'hog-runs': text, package: several, file: several },
        ...{ hog: flag, 'slow-fsync': flag, faults: flag, again: flag }
      },
      true
    )
    const { repeat } = await import('./test-repeat/command.ts')
    return repeat(REPOSITORY, positionals, values as RepeatValues)
  },
  async mutation(args) {
    const flag = { type: 'boolean' } as const
    const { values, positionals } = parse(
      args,
      { list: flag, survivors: flag, fresh: flag, minutes: { type: 'string' }, concurrency: { type: 'string' } },
      true
    )
    const { mutation } = await import('./mutation/index.ts')
    return mutation(positionals, values as MutationOptions)
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
      'default-auth': text,
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

/** A whole number above 0. */
function count(value: unknown, option: string): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1) throw new UsageError(`${option} takes a number above 0, not "${value}".`)
  return number
}

async function main([name = 'help', ...rest]: string[]): Promise<number> {
  // `npm start -- --demo` and `./skerry up -- --demo` mean the same.
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
  if (command === undefined) throw new StartError(`there is no command "${name}". See: ./skerry help`)
  try {
    return await command(args)
  } catch (error) {
    if (error instanceof UsageError) throw new StartError(`${error.message} See: ./skerry help ${name}`)
    throw error
  }
}

// Who read the output has gone (`./skerry events lag | head`): what then runs on ends as it does when it is told to.
// A file on a full disk takes it no more: what runs is not ended by what it cannot tell, but it has not told all.
let unread = false
let untold: string | undefined
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    untold ??= error.message
    return
  }
  if (error.code !== 'EPIPE') throw error
  if (!unread) process.kill(process.pid, 'SIGTERM')
  unread = true
})

process.once('beforeExit', () => {
  if (untold === undefined) return
  process.stderr.write(`skerry: not all could be written to the standard output: ${untold}\n`)
  process.exitCode ||= 1
})

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof StartError)) throw error
  process.stderr.write(`skerry: ${error.message}\n`)
  process.exitCode = 1
}
