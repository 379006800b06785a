import { createHmac, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '@skerry/stores'

/** What is derived from the secret of this home: nothing of it is the same elsewhere, all of it is the same in the next run. */
export type Secret = {
  /** The code of a mail address: 16 hex digits. */
  hash: (address: string) => string
  /** The password of a demo user. */
  password: (userKey: string) => string
  /** Tells whether a journal was written with this secret. */
  fingerprint: string
}

/** Reads `<folder>/secret`, or makes one that only this user may read. */
export async function readSecret(folder: string): Promise<Secret> {
  const file = join(folder, 'secret')
  await mkdir(folder, { recursive: true })
  try {
    await writeFile(file, `${randomBytes(32).toString('hex')}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const text = (await readFile(file, 'utf8')).trim()
  if (!/^[0-9a-f]{64}$/.test(text)) throw new StartError(`${file} is damaged: remove it to begin with new demo users`)
  return secretFrom(Buffer.from(text, 'hex'))
}

export function secretFrom(key: Uint8Array): Secret {
  const derive = (what: string) => createHmac('sha256', key).update(what).digest()
  return {
    hash: (address) => derive(`address ${address}`).toString('hex').slice(0, 16),
    password: (userKey) => derive(`password ${userKey}`).toString('base64url').slice(0, 24),
    fingerprint: derive('fingerprint').toString('hex').slice(0, 16)
  }
}
