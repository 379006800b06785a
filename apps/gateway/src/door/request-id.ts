import { requestIdFrom } from '@skerry/service'

const ACCEPTED = /^[A-Za-z0-9_-]{8,64}$/

/** The id a client gave its request, if it has the form of one, else a new one. */
export function publicRequestId(header: string | string[] | undefined): string {
  return typeof header === 'string' && ACCEPTED.test(header) ? header : requestIdFrom(undefined)
}
