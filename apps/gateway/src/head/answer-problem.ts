import type { ServerResponse } from 'node:http'
import type { SkerryError } from '@skerry/contracts'
import type { Visit } from '../door/visit.ts'
import type { Heads } from './heads.ts'

/** Answers a visit with the problem of an error, whole and at once. */
export function answerProblem(
  heads: Heads,
  visit: Visit,
  response: ServerResponse,
  error: SkerryError,
  closing = false
): void {
  const { status, list, body } = heads.problem(visit, error, closing)
  heads.write(response, visit, status, list)
  response.end(visit.method === 'HEAD' ? undefined : body)
}
