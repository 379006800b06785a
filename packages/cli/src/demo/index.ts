import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SkerryApiError } from '@skerry/sdk'
import { type Accounts, createAccounts } from './accounts.ts'
import { CORPUS, fetchCorpus, readCorpus } from './corpus.ts'
import { createExisting } from './existing.ts'
import { type Journal, openJournal } from './journal.ts'
import { load } from './load.ts'
import { takeLock } from './lock.ts'
import type { RawMail } from './mail.ts'
import { type Plan, planDemo } from './plan.ts'
import { createProgress, type Output, type Progress } from './progress.ts'
import { type DemoResult, describe, exampleOf, resultOf } from './report.ts'
import { readSecret } from './secret.ts'

export type { Output } from './progress.ts'
export type { DemoResult } from './report.ts'

export type DemoOptions = {
  /** Address of the gateway. */
  baseUrl: string
  /** The folder of this Skerry (`.skerry`); the demo keeps its things in `demo/` there. */
  home: string
  out: Output
  /** Only the first mails by date. */
  limit?: number
  /** Stops the run; what is loaded stays, and the next run goes on from there. */
  signal?: AbortSignal
  /** Other mails than the corpus that npm fetches: what they are called, and where they come from. */
  mails?: { name: string; read: () => Promise<readonly RawMail[]> }
}

/**
 * Loads real mails as demo data, through the public API, like any client. It can be interrupted and run again: nothing is loaded twice.
 * @throws Error with one clear line; the signal's reason when it was aborted
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { baseUrl, home, out } = options
  const signal = options.signal ?? new AbortController().signal
  const startedAt = performance.now()
  const folder = join(home, 'demo')
  await mkdir(folder, { recursive: true })
  const unlock = takeLock(join(folder, 'lock'))
  const progress = createProgress(out)
  const patient = afterGrace(signal)
  try {
    const secret = await readSecret(folder)
    const name = options.mails?.name ?? CORPUS.integrity
    const raws = await (options.mails?.read() ?? corpusMails(folder, progress, signal))
    const plan = await readPlan(raws, secret.hash, progress, options.limit, signal)
    const journal = openJournal(join(folder, 'journal.jsonl'), { corpus: name, secret: secret.fingerprint })
    try {
      const users = new Map(plan.users.map((user) => [user.key, user]))
      const accounts = createAccounts({ baseUrl, journal, secret, users, signal: patient.signal })
      const requests = patient.signal
      await forgetWhatIsGone(plan, journal, accounts, progress, requests)
      const existing = createExisting(journal, accounts, requests)
      const refused = await load({ plan, journal, accounts, existing, progress, signal, requests })
      const result = resultOf(plan, journal, refused, startedAt)
      out.write(describe(result, exampleOf(plan, journal), secret, baseUrl))
      return result
    } catch (error) {
      if (signal.aborted) progress.line(`Interrupted with ${journal.done.size} mails loaded: run it again to go on.`)
      throw error
    } finally {
      journal.close()
    }
  } finally {
    progress.stop()
    patient.stop()
    unlock()
  }
}

async function corpusMails(folder: string, progress: Progress, signal: AbortSignal): Promise<RawMail[]> {
  progress.stage('download', CORPUS.bytes, { unit: 'bytes' })
  const file = await fetchCorpus(folder, progress.at, signal)
  progress.at(CORPUS.bytes)
  progress.end()
  return readCorpus(file)
}

async function readPlan(
  raws: readonly RawMail[],
  hash: (address: string) => string,
  progress: Progress,
  limit: number | undefined,
  signal: AbortSignal
): Promise<Plan> {
  progress.stage('reading', raws.length)
  const onProgress = (mails: number) => {
    signal.throwIfAborted()
    progress.at(mails)
  }
  const plan = await planDemo(raws, { hash, onProgress, ...(limit === undefined ? {} : { limit }) })
  progress.end()
  return plan
}

const GRACE_MS = 1000

/** Aborts a moment after `signal`: nothing new is begun, but what is on its way gets its answer into the journal. */
function afterGrace(signal: AbortSignal): { signal: AbortSignal; stop: () => void } {
  const later = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const onAbort = () => {
    timer = setTimeout(() => later.abort(signal.reason), GRACE_MS)
  }
  if (signal.aborted) later.abort(signal.reason)
  else signal.addEventListener('abort', onAbort, { once: true })
  return {
    signal: later.signal,
    stop() {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }
}

const SAMPLES = 3

/** A journal tells of one data set: where its users or its posts are not to be found, it begins anew. */
async function forgetWhatIsGone(
  plan: Plan,
  journal: Journal,
  accounts: Accounts,
  progress: Progress,
  signal: AbortSignal
): Promise<void> {
  const user = plan.users.find((u) => journal.users.has(u.key))
  if (user === undefined) return
  if ((await accounts.stillThere(user)) && (await postsAreThere(plan, journal, accounts, signal))) return
  progress.line('The demo data that was loaded before is not there any more: loading it anew.')
  journal.restart()
}

/** Somebody may have deleted one post; that all of the samples are gone means more. */
async function postsAreThere(plan: Plan, journal: Journal, accounts: Accounts, signal: AbortSignal): Promise<boolean> {
  const loaded = plan.posts.filter((post) => journal.done.has(post.key) && journal.users.has(post.user))
  const samples = loaded.filter((_, i) => i % Math.max(1, Math.floor(loaded.length / SAMPLES)) === 0).slice(0, SAMPLES)
  for (const { key, user } of samples) {
    try {
      await accounts.as(user, (client) => client.posts.get(journal.done.get(key) ?? '', { signal, fields: ['id'] }))
      return true
    } catch (error) {
      if (!(error instanceof SkerryApiError) || error.status !== 404) throw error
    }
  }
  return samples.length === 0
}
