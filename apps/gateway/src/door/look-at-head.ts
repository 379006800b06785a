import { bodyRefusal, guardMessage, hasBodyWithoutMeaning } from './message-guard.ts'
import { guardPath } from './path-guard.ts'
import type { Visit } from './visit.ts'

/**
 * What the head of a request says against it by itself. Throws where it is in doubt what the message is; what is wrong with its path or its body is the
 * visit's fault from then on.
 *
 * @param takersOfBody the methods that take a body where that of a visit takes none
 */
export function lookAtHead(visit: Visit, urlLimit: number, takersOfBody: (visit: Visit) => readonly string[]): void {
  const { raw } = visit
  guardMessage(raw)
  try {
    visit.path = guardPath(raw.url ?? '', urlLimit)
  } catch (error) {
    visit.fault ??= error as Error
  }
  if (hasBodyWithoutMeaning(raw)) visit.fault ??= bodyRefusal(raw.method, takersOfBody(visit))
}
