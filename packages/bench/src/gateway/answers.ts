import type { LoadTarget } from './load-generator.ts'
import { ORIGIN_BODY, ORIGIN_REQUEST } from './servers.ts'

/**
 * Asks a target twice and throws one line unless both answers are 200 with the origin's body, and come from the origin, or, `cached`, the
 * second from a cache before it.
 */
export async function checkAnswers(target: LoadTarget, cached: boolean): Promise<void> {
  const first = await originRequest(target)
  const second = await originRequest(target)
  if (cached && first !== second) throw new Error('the origin was asked for each answer: nothing is cached')
  if (!cached && first === second) throw new Error('two answers of the origin are one: something is cached')
}

/** Which answer of the origin came. */
async function originRequest({ url, headers }: LoadTarget): Promise<string> {
  const response = await fetch(url, { headers })
  const body = await response.text()
  if (response.status !== 200) throw new Error(`it answers ${response.status}`)
  if (body !== ORIGIN_BODY) throw new Error('it does not answer what the origin does')
  const request = response.headers.get(ORIGIN_REQUEST)
  if (request === null) throw new Error(`its answer lacks ${ORIGIN_REQUEST}`)
  return request
}
