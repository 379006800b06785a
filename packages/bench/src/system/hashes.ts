import { argon2, randomBytes } from 'node:crypto'
import { hashRaw } from '@node-rs/argon2'

type Hash = (password: string, salt: Buffer) => Promise<Buffer>

const LENGTH = 32
/** OWASP's first recommendation for Argon2id, as apps/auth has it. */
const MEMORY_KIB = 19 * 1024
const PASSES = 2
/** Hashes of each that are measured, and those at once: as many as apps/auth runs on two cores. */
const MEASURED = 40
const AT_ONCE = 2

/** What can hash a password here. */
export const HASHES: Readonly<Record<string, Hash>> = {
  'node:crypto': (message, nonce) =>
    new Promise((resolve, reject) =>
      argon2(
        'argon2id',
        { message, nonce, memory: MEMORY_KIB, passes: PASSES, parallelism: 1, tagLength: LENGTH },
        (error, key) => (error === null || error === undefined ? resolve(key) : reject(error))
      )
    ),
  '@node-rs/argon2': (password, salt) =>
    hashRaw(password, { salt, memoryCost: MEMORY_KIB, timeCost: PASSES, parallelism: 1, outputLen: LENGTH })
}

/** CPU of this process for one hash of each, in microseconds. */
export async function measureHashes(): Promise<Record<string, number>> {
  const micros: Record<string, number> = {}
  for (const [name, hash] of Object.entries(HASHES)) {
    const salt = randomBytes(16)
    await hash('the first loads it', salt)
    const before = process.cpuUsage()
    for (let done = 0; done < MEASURED; done += AT_ONCE)
      await Promise.all(Array.from({ length: AT_ONCE }, () => hash('correct horse battery', salt)))
    const { user, system } = process.cpuUsage(before)
    micros[name] = Math.round((user + system) / MEASURED)
  }
  return micros
}
