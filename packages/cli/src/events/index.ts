import { parseArgs } from 'node:util'
import { StartError } from '@skerry/stores'
import { asStartError } from '../operator.ts'
import { audit } from './audit.ts'
import { type DlqOptions, dlq } from './dlq.ts'
import { lag } from './lag.ts'
import { ls } from './ls.ts'
import { type RebuildOptions, rebuild } from './rebuild.ts'
import { type ReplayOptions, replay } from './replay.ts'
import { type Context, type Io, openContext } from './system.ts'
import { type TailOptions, tail } from './tail.ts'

type Values = Record<string, string | boolean | undefined>
type Command = {
  /** Its options beside --json and --by: `text` takes a value, `flag` none. */
  options: Readonly<Record<string, 'text' | 'flag'>>
  /** Arguments at most. */
  takes: number
  run(context: Context, args: readonly string[], values: Values): Promise<number>
}

const COMMANDS: Readonly<Record<string, Command>> = {
  ls: { options: {}, takes: 0, run: (context) => ls(context) },
  lag: { options: {}, takes: 0, run: (context) => lag(context) },
  tail: {
    options: { subject: 'text', entity: 'text', since: 'text', count: 'text' },
    takes: 0,
    run: (context, _, values) => tail(context, values as TailOptions)
  },
  dlq: {
    options: { consumer: 'text', after: 'text', data: 'text', edit: 'flag' },
    takes: 101,
    run: (context, args, values) => dlq(context, args, values as DlqOptions)
  },
  audit: { options: {}, takes: 1, run: (context, args) => audit(context, args) },
  replay: {
    options: { from: 'text', stream: 'text', force: 'flag' },
    takes: 1,
    run: (context, args, values) => replay(context, args, values as ReplayOptions)
  },
  rebuild: {
    options: {
      ...{ abort: 'flag', switch: 'flag', rollback: 'flag', finish: 'flag', status: 'flag' },
      ...{ stay: 'flag', force: 'flag', 'allow-partial': 'flag' }
    },
    takes: 1,
    run: (context, args, values) => rebuild(context, args, values as RebuildOptions)
  }
}

/** `./skerry events …`: looks at what happens, and repairs it. */
export async function events([name, ...args]: string[], io: Io): Promise<number> {
  const command = name === undefined ? undefined : COMMANDS[name]
  if (command === undefined)
    throw new StartError(
      `${name === undefined ? 'say what to do' : `there is no "events ${name}"`}: ${Object.keys(COMMANDS).join(', ')}. See: ./skerry help events`
    )
  const { values, positionals } = read(args, command.options)
  if (positionals.length > command.takes)
    throw new StartError(`${positionals[command.takes]} is an unexpected argument. See: ./skerry help events`)
  const { by, json, ...rest } = values as Values
  const context = await openContext(io, { json: json === true, by: typeof by === 'string' ? by : undefined })
  try {
    return await command.run(context, positionals, rest)
  } catch (error) {
    return asStartError(error)
  } finally {
    await context.nc.close()
  }
}

function read(args: string[], options: Command['options']) {
  const all = { json: 'flag', by: 'text', ...options }
  try {
    return parseArgs({
      args,
      strict: true,
      allowPositionals: true,
      options: Object.fromEntries(
        Object.entries(all).map(([name, kind]) => [name, { type: kind === 'text' ? 'string' : 'boolean' } as const])
      )
    })
  } catch (error) {
    throw new StartError(`${(error as Error).message} See: ./skerry help events`)
  }
}
