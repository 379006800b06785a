import { readFile } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'
import { type Letter, listLetters, type OperationView, readLetter } from '@skerry/events'
import { StartError } from '@skerry/stores'
import { table } from '../up/table.ts'
import { editText } from './edit.ts'
import { cut, hasColours, painter, prettyPayload, printable, shortTime } from './format.ts'
import {
  ask,
  type Context,
  consumerName,
  deadLetterServices,
  parseConsumer,
  Refused,
  waitForOperation
} from './system.ts'

export type DlqOptions = { consumer?: string; after?: string; data?: string; edit?: boolean }

const PAGE = 100
const WAIT_MS = 60_000

/** `ls [SERVICE…]`, `show LETTER`, `retry LETTER… [--edit | --data FILE]`, `retry --consumer C`, `discard LETTER…`. */
export async function dlq(context: Context, [what, ...args]: readonly string[], options: DlqOptions): Promise<number> {
  if (options.edit && options.data !== undefined) throw new StartError('give --edit or --data, not both')
  if ((options.edit || options.data !== undefined) && (what !== 'retry' || args.length !== 1))
    throw new StartError('--edit and --data change one letter: ./skerry events dlq retry content/12 --edit')
  if (options.consumer !== undefined && what !== 'ls' && what !== 'retry')
    throw new StartError('--consumer goes with dlq ls and dlq retry')
  switch (what) {
    case 'ls':
      return list(context, args, options)
    case 'show':
      return show(context, lettersOf(args, 'show'))
    case 'retry':
      if (options.consumer !== undefined && args.length === 0) return retryAll(context, options.consumer)
      return each(context, lettersOf(args, 'retry'), (letter) => retry(context, letter, options))
    case 'discard':
      return each(context, lettersOf(args, 'discard'), (letter) => request(context, letter, 'discard'))
    default:
      throw new StartError('say what to do: ./skerry events dlq ls | show LETTER | retry LETTER | discard LETTER')
  }
}

type LetterName = { service: string; number: number }

function lettersOf(args: readonly string[], what: string): LetterName[] {
  if (args.length === 0) throw new StartError(`give the dead letter: ./skerry events dlq ${what} content/12`)
  return args.map((text) => {
    const [, service, number] = /^([a-z][a-z0-9-]*)\/([1-9]\d{0,15})$/.exec(text) ?? []
    if (service === undefined)
      throw new StartError(`${text} is not the name of a letter, as content/12. See: ./skerry events dlq ls`)
    return { service, number: Number(number) }
  })
}

async function list(context: Context, services: readonly string[], options: DlqOptions): Promise<number> {
  const there = await deadLetterServices(context.jsm)
  const consumer =
    options.consumer === undefined ? undefined : parseConsumer(options.consumer, 'dlq ls --consumer content--feeds')
  const wanted = consumer !== undefined ? [consumer.service] : services.length > 0 ? services : there
  const unknown = wanted.find((service) => !there.includes(service))
  if (unknown !== undefined) throw new StartError(`${unknown} has no stream for dead letters, only ${there.join(', ')}`)
  if (options.after !== undefined && (!/^\d{1,15}$/.test(options.after) || wanted.length !== 1))
    throw new StartError(
      '--after takes the number of a letter, and goes with one service: ./skerry events dlq ls content --after 100'
    )
  const after = Number(options.after ?? 0)
  const letters = (
    await Promise.all(
      wanted.map((service) => listLetters(context.jsm, service, { after, limit: PAGE, consumer: consumer?.consumer }))
    )
  ).flat()
  if (context.json) {
    for (const letter of letters) context.say(JSON.stringify(letter))
    return 0
  }
  if (letters.length === 0) {
    context.say('no dead letters')
    return 0
  }
  const heading = ['letter', 'consumer', 'event', 'entity', 'attempts', 'last', 'error']
  const rows = letters.map((l) => [
    ...[`${l.service}/${l.number}`, l.consumer, l.subject, cut(l.entity ?? '-', 53), String(l.attempts)],
    ...[shortTime(l.lastAt), cut(l.error, 80)]
  ])
  context.say(table([heading, ...rows]))
  const full = wanted.filter((service) => letters.filter((l) => l.service === service).length === PAGE)
  for (const service of full)
    context.say(
      `more: ./skerry events dlq ls ${service} --after ${letters.findLast((l) => l.service === service)?.number}`
    )
  return 0
}

async function show(context: Context, names: readonly LetterName[]): Promise<number> {
  const paint = painter(hasColours(context.io.out, context.io.env))
  for (const name of names) {
    const letter = await find(context, name)
    const purpose = consumerName(letter.consumer)?.purpose
    const tried =
      purpose === undefined
        ? undefined
        : await ask<OperationView[]>(context, letter.service, `${purpose}.audit`, { letter: name.number }).catch(
            (error: unknown) => {
              // Its service is away: the letter itself can be shown.
              if (error instanceof Refused || !(error instanceof StartError)) throw error
              return undefined
            }
          )
    if (context.json) {
      context.say(JSON.stringify({ ...letter, operations: tried ?? null }))
      continue
    }
    const fields = [
      ['letter', `${letter.service}/${letter.number}`],
      ['consumer', letter.consumer],
      ['event', `${letter.subject} #${letter.sequence} ${letter.eventId ?? '(no ce-id)'}`],
      ['entity', letter.entity ?? '-'],
      ['published', letter.time || '-'],
      ['first tried', letter.firstAt],
      ['last tried', letter.lastAt],
      ['attempts', String(letter.attempts)],
      ...(letter.traceparent === undefined ? [] : [['trace', letter.traceparent]]),
      ['error', letter.error]
    ] as const
    for (const [label = '', value = ''] of fields)
      context.say(
        `${paint('dim', label.padEnd(12))} ${label === 'error' ? paint('red', printable(value)) : printable(value)}`
      )
    for (const o of tried ?? [])
      context.say(
        `${paint('dim', o.kind.padEnd(12))} ${shortTime(o.at)} by ${o.by}: ${o.state}${o.outcome === null ? '' : `, ${printable(o.outcome)}`}`
      )
    context.say(`\n${prettyPayload(letter.payload, paint)}\n`)
  }
  return 0
}

async function find({ jsm }: Context, { service, number }: LetterName): Promise<Letter> {
  const letter = await readLetter(jsm, service, number)
  if (letter === undefined)
    throw new StartError(`there is no dead letter ${service}/${number}. See: ./skerry events dlq ls`)
  return letter
}

async function retry(context: Context, name: LetterName, options: DlqOptions): Promise<boolean> {
  const { edit, data } = options
  if (edit) {
    const letter = await find(context, name)
    return editText(letter.payload, `${name.service}-${name.number}`, context.io.env, (text) =>
      request(context, name, 'retry', text)
    )
  }
  if (data === undefined) return request(context, name, 'retry')
  return request(context, name, 'retry', await dataOf(data))
}

async function dataOf(path: string): Promise<string> {
  if (path === '-') return readAll(process.stdin)
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new StartError(`--data ${path} cannot be read: ${(error as Error).message}`)
  }
}

/** Asks the service of a letter's consumer, waits for the end, and tells it. True when it was done. */
async function request(context: Context, name: LetterName, what: 'retry' | 'discard', data?: string): Promise<boolean> {
  const letter = await find(context, name)
  const consumer = parseConsumer(letter.consumer, `dlq ${what}`)
  const { id } = await ask<{ id: string }>(context, name.service, `${consumer.purpose}.${what}`, {
    by: context.by,
    letter: name.number,
    ...(data === undefined ? {} : { data })
  })
  const view = await waitForOperation(context, consumer, id, { boundMs: WAIT_MS })
  const label = `${name.service}/${name.number}`
  if (view === undefined) {
    context.say(`${label}: accepted; ${letter.consumer} will do it. See: ./skerry events audit ${letter.consumer}`)
    return true
  }
  if (context.json) context.say(JSON.stringify(view))
  else if (view.state === 'done') context.say(`${label}: ${view.outcome}`)
  else context.say(`${label}: failed again and stays: ${printable(view.outcome ?? '')}`)
  return view.state === 'done'
}

async function each(
  _context: Context,
  names: readonly LetterName[],
  work: (name: LetterName) => Promise<boolean>
): Promise<number> {
  let failed = 0
  for (const name of names) if (!(await work(name))) failed++
  return failed === 0 ? 0 : 1
}

/** Retries what a consumer has not digested, oldest first: after its service was mended. Letters that come meanwhile are not among them. */
async function retryAll(context: Context, text: string): Promise<number> {
  const { service, consumer } = parseConsumer(text, 'dlq retry --consumer content--feeds')
  const last = (await context.jsm.streams.info(`dlq_${service}`)).state.last_seq
  let failed = 0
  let done = 0
  for (let after = 0; ; ) {
    const page = (await listLetters(context.jsm, service, { after, limit: PAGE, consumer })).filter(
      (l) => l.number <= last
    )
    if (page.length === 0) break
    for (const letter of page) {
      if (await request(context, letter, 'retry')) done++
      else failed++
    }
    after = page.at(-1)?.number ?? last
  }
  if (!context.json) context.say(`${done} retried, ${failed} failed again`)
  return failed === 0 ? 0 : 1
}
