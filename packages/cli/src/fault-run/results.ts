import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** How a round of a part ended, or the whole part where it has no rounds. */
export type Record = { part: string; round: number | null; ok: boolean; seconds: number; at: string }

export type Results = {
  /** Folder of the records and of the parts' logs. */
  readonly folder: string
  /** How a round ended the last time, if it did. */
  find(part: string, round: number | null): Record | undefined
  add(record: Record): Promise<void>
  /** Forgets rounds that are to be run anew. */
  forget(which: (record: Record) => boolean): Promise<void>
}

/**
 * What was found of one commit with one seed: a line of JSON for each round that came to its end. A line that was cut off when the machine
 * stopped is a round that did not.
 */
export async function openResults(home: string, commit: string, seed: number): Promise<Results> {
  const folder = join(home, 'faults', commit)
  await mkdir(folder, { recursive: true })
  const path = join(folder, `seed-${seed}.jsonl`)
  let records = parse(await readFile(path, 'utf8').catch(none))
  const save = async () => {
    await writeFile(`${path}.new`, records.map(line).join(''))
    await rename(`${path}.new`, path)
  }
  await save()
  return {
    folder,
    find: (part, round) => records.findLast((record) => record.part === part && record.round === round),
    async add(record) {
      records.push(record)
      await appendFile(path, line(record))
    },
    async forget(which) {
      records = records.filter((record) => !which(record))
      await save()
    }
  }
}

const line = (record: Record) => `${JSON.stringify(record)}\n`

function parse(text: string): Record[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((one) => JSON.parse(one) as Record)
}

function none(error: NodeJS.ErrnoException): string {
  if (error.code !== 'ENOENT') throw error
  return ''
}
