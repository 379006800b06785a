import { createHmac } from 'node:crypto'
import type { IdempotencyStore } from '@skerry/service'

/**
 * An idempotency store whose ids and hashes of requests are keyed: the body of a sign-up has a password in it, and a plain hash would be a
 * fast way to try passwords. With another signing key nothing that was kept before is found.
 */
export function keyIdempotency(store: IdempotencyStore, secret: Buffer): IdempotencyStore {
  const keyed = (purpose: string, text: string) =>
    createHmac('sha256', secret).update(`${purpose} ${text}`).digest('base64url')
  const hidden = <R extends { id: string; bodyHash: string }>(request: R): R => ({
    ...request,
    id: keyed('id', request.id),
    bodyHash: keyed('body', request.bodyHash)
  })
  return {
    claim: (claim) => store.claim(hidden(claim)),
    record: (record, tx) => store.record(hidden(record), tx),
    find: (request) => store.find(hidden(request)),
    complete: (id, answer, tx, owner) => store.complete(keyed('id', id), answer, tx, owner),
    release: (id) => store.release(keyed('id', id))
  }
}
