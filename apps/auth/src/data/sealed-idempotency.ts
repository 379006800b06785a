import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import type { IdempotencyStore, StoredAnswer } from '@skerry/service'

const IV_BYTES = 12
const TAG_BYTES = 16

/**
 * An idempotency store that keeps no secret in the clear. The answer to a sign-up holds tokens, so bodies are encrypted (AES-256-GCM, bound to
 * the key they belong to). The hash of the request is of a body with a password in it, so it is keyed: else it would be a fast way to try
 * passwords. With another signing key, keys of the day before are answered as used for another request.
 */
export function sealIdempotency(
  store: IdempotencyStore,
  secrets: { answers: Buffer; bodies: Buffer }
): IdempotencyStore {
  return {
    async claim(claim) {
      const bodyHash = createHmac('sha256', secrets.bodies).update(claim.bodyHash).digest('base64url')
      const found = await store.claim({ ...claim, bodyHash })
      if (found.state !== 'done' || found.answer.body === null) return found
      return { state: 'done', answer: { ...found.answer, body: open(secrets.answers, claim.id, found.answer.body) } }
    },
    complete(id: string, answer: StoredAnswer, tx?: unknown) {
      const sealed = answer.body === null ? answer : { ...answer, body: seal(secrets.answers, id, answer.body) }
      return store.complete(id, sealed, tx)
    },
    release: (id) => store.release(id)
  }
}

function seal(secret: Buffer, id: string, body: string): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', secret, iv).setAAD(Buffer.from(id))
  const sealed = Buffer.concat([cipher.update(body, 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url')
}

function open(secret: Buffer, id: string, text: string): string {
  const bytes = Buffer.from(text, 'base64url')
  const tag = bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', secret, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(id)).setAuthTag(tag)
  return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8')
}
