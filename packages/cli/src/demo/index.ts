import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SkerryApiError, SkerryNetworkError } from '@skerry/sdk'
import { StartError } from '@skerry/stores'
import { createAccounts } from './accounts.ts'
import { CORPUS, fetchCorpus, readCorpus } from './corpus.ts'
import { createExisting } from './existing.ts'
import { forgetWhatIsGone } from './gone.ts'
import { afterGrace } from './grace.ts'
import { openJournal } from './journal.ts'
import { load } from './load.ts'
import { takeLock } from './lock.ts'
import type { RawMail } from './mail.ts'
import { type Plan, planDemo } from './plan.ts'
import { createProgress, type Output, type Progress, whole } from './progress.ts'
import { type DemoResult, describe, exampleOf, resultOf } from './report.ts'
import { readSecret } from './secret.ts'

export type { Output } from './progress.ts'
export type { DemoResult } from './report.ts'

/** Mails that are loaded when nobody says how many: less than a minute's work, and enough to look at. */
export const DEMO_MAILS = 400

type Mails = { name: string; count: number; read: () => Iterable<RawMail> | AsyncIterable<RawMail> }

export type DemoOptions = {
  /** Address of the gateway. */
  baseUrl: string
  /** The folder of this Skerry (`.skerry`); the demo keeps its things in `demo/` there. */
  home: string
  out: Output
  /** Only the first mails by date; all when not given. */
  limit?: number
  /** Stops the run; what is loaded stays, and the next run goes on from there. */
  signal?: AbortSignal
  /** Other mails than the corpus that npm fetches: what they are called, and where they come from. */
  mails?: Mails
}

/**
 * Loads real mails as demo data, through the public API, like any client. It can be interrupted and run again: nothing is loaded twice.
 * @returns what is loaded now; undefined when the signal stopped it before the end
 * @throws StartError with one line that says what is wrong
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult | undefined> {
  const { limit, out } = options
  if (limit !== undefined && !(Number.isInteger(limit) && limit > 0)) {
    throw new StartError('--limit must be a number of mails, 1 or more')
  }
  const signal = options.signal ?? new AbortController().signal
  const folder = join(options.home, 'demo')
  await mkdir(folder, { recursive: true })
  const unlock = takeLock(join(folder, 'lock'))
  const progress = createProgress(out)
  const patient = afterGrace(signal)
  try {
    return await run({ ...options, signal, requests: patient.signal, giveUp: patient.abortSoon, folder, progress })
  } catch (error) {
    if (signal.aborted) return undefined
    throw startErrorFrom(error, options.baseUrl)
  } finally {
    progress.stop()
    patient.stop()
    unlock()
  }
}

type Run = DemoOptions & {
  signal: AbortSignal
  requests: AbortSignal
  giveUp: () => void
  folder: string
  progress: Progress
}

async function run(options: Run): Promise<DemoResult> {
  const { baseUrl, out, signal, requests, giveUp, folder, progress } = options
  const startedAt = performance.now()
  const secret = await readSecret(folder)
  const mails = options.mails ?? (await corpusMails(folder, progress, signal))
  const plan = await readPlan(mails, secret.hash, progress, options.limit, signal)
  const journal = openJournal(join(folder, 'journal.jsonl'), { corpus: mails.name, secret: secret.fingerprint })
  try {
    if (journal.damaged > 0)
      progress.line(`${journal.damaged} lines of the demo's journal were damaged and are left out.`)
    const users = new Map(plan.users.map((user) => [user.key, user]))
    const accounts = createAccounts({ baseUrl, journal, secret, users, signal: requests })
    await forgetWhatIsGone(plan, journal, accounts, progress, requests)
    const existing = createExisting(journal, accounts, requests)
    const refused = await load({ plan, journal, accounts, existing, progress, signal, requests, giveUp })
    const result = resultOf(plan, journal, refused, { startedAt, limited: options.limit !== undefined })
    out.write(describe(result, exampleOf(plan, journal), secret, baseUrl))
    return result
  } catch (error) {
    if (signal.aborted)
      progress.line(`Interrupted with ${whole(journal.done.size)} mails loaded: run it again to go on.`)
    throw error
  } finally {
    journal.close()
  }
}

/** What went wrong as one line. */
function startErrorFrom(error: unknown, baseUrl: string): unknown {
  const again = 'What is loaded stays; run it again to go on.'
  const { syscall, code, message } = error as NodeJS.ErrnoException
  if (syscall !== undefined && (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS' || code === 'EIO'))
    return new StartError(`the demo cannot write down what it has loaded: ${message}. ${again}`, { cause: error })
  if (error instanceof SkerryNetworkError) {
    return new StartError(`the demo cannot reach ${baseUrl}: ${error.message}. ${again}`, { cause: error })
  }
  if (error instanceof SkerryApiError) {
    const request = error.requestId === undefined ? '' : `, request ${error.requestId}`
    return new StartError(`the demo was refused: ${error.message} (${error.code}${request}). ${again}`, {
      cause: error
    })
  }
  return error
}

async function corpusMails(folder: string, progress: Progress, signal: AbortSignal): Promise<Mails> {
  let begun = false
  const onProgress = (bytes: number) => {
    if (!begun) progress.stage('download', CORPUS.bytes, { unit: 'bytes' })
    begun = true
    progress.at(bytes)
  }
  const file = await fetchCorpus(folder, onProgress, signal)
  progress.end()
  return { name: CORPUS.integrity, count: CORPUS.mails, read: () => readCorpus(file) }
}

async function readPlan(
  mails: Mails,
  hash: (address: string) => string,
  progress: Progress,
  limit: number | undefined,
  signal: AbortSignal
): Promise<Plan> {
  progress.stage('reading', mails.count)
  const onProgress = (n: number) => {
    signal.throwIfAborted()
    progress.at(n)
  }
  const plan = await planDemo(mails.read(), { hash, onProgress, ...(limit === undefined ? {} : { limit }) })
  progress.end()
  return plan
}
