import { randomBytes, timingSafeEqual } from 'node:crypto'
import argon2 from '@node-rs/argon2'
import { createSlots } from './slots.ts'

/**
 * Hashes and checks passwords with Argon2id, off the event loop, a bounded number at once, in turn by the address that they come from. Rejects
 * with UNAVAILABLE when too many wait.
 */
export type Passwords = {
  hash(password: string, from?: string): Promise<string>
  /** `stored` undefined: does the same work and answers false, so that the time tells nothing of which accounts exist. */
  verify(password: string, stored: string | undefined, from?: string): Promise<boolean>
}

type Parameters = { memory: number; passes: number; parallelism: number }

/** OWASP's first recommendation: 19 MiB, 2 passes, 1 lane. */
const PARAMETERS: Parameters = { memory: 19 * 1024, passes: 2, parallelism: 1 }
const SALT_BYTES = 16
const HASH_BYTES = 32
const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/

/**
 * @param concurrency hashes at once; fewer than the threads of Node's pool, which also verify tokens and resolve names
 * @param queue how many may wait for a turn
 */
export function createPasswords(options: { concurrency: number; queue: number }): Passwords {
  const slots = createSlots(options.concurrency, options.queue)
  const nobody = format(randomBytes(SALT_BYTES), randomBytes(HASH_BYTES))
  const run = (password: string, salt: Buffer, parameters: Parameters, length: number, from?: string) =>
    slots.run(() => derive(password, salt, parameters, length), from)

  return {
    async hash(password, from) {
      const salt = randomBytes(SALT_BYTES)
      return format(salt, await run(password, salt, PARAMETERS, HASH_BYTES, from))
    },
    async verify(password, stored, from) {
      const { parameters, salt, hash } = read(stored ?? nobody)
      const computed = await run(password, salt, parameters, hash.length, from)
      return timingSafeEqual(computed, hash) && stored !== undefined
    }
  }
}

/**
 * Argon2id of version 0x13 (RFC 9106). `node:crypto` has it too, in portable C and with memory that the system hands out anew for each hash:
 * this one uses the processor's vector instructions and costs a third (`npm run bench -- system` prints both).
 */
function derive(password: string, salt: Buffer, parameters: Parameters, length: number): Promise<Buffer> {
  // One keyboard writes é as one character, another as two: NFKC makes them the same password (RFC 8265, NIST SP 800-63B).
  const message = Buffer.from(password.normalize('NFKC'))
  const { memory, passes, parallelism } = parameters
  return argon2.hashRaw(message, { salt, memoryCost: memory, timeCost: passes, parallelism, outputLen: length })
}

/** The PHC string format, so that the parameters may change while old hashes still hold. */
function format(salt: Buffer, hash: Buffer): string {
  const { memory, passes, parallelism } = PARAMETERS
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(hash)}`
}

function read(stored: string): { parameters: Parameters; salt: Buffer; hash: Buffer } {
  const match = PHC.exec(stored)
  if (match === null) throw new Error('a stored password hash is not one of ours')
  const [memory, passes, parallelism] = match.slice(1, 4).map(Number) as [number, number, number]
  return {
    parameters: { memory, passes, parallelism },
    salt: Buffer.from(match[4]!, 'base64'),
    hash: Buffer.from(match[5]!, 'base64')
  }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}
