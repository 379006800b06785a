import { SkerryError, type Violation } from '@skerry/contracts'

/** Why a text is not taken. */
export type Fault = { readonly code: string; readonly message: string }

export const BLANK: Fault = { code: 'blank', message: 'must have something that can be seen' }
export const CONTROL: Fault = { code: 'control', message: 'must not contain control characters or line breaks' }
export const BIDI: Fault = { code: 'bidi', message: 'must not contain characters that turn the direction of text' }
export const MARKS: Fault = { code: 'marks', message: 'must not have more than 30 combining marks in a row' }

type Given = string | Fault | null | undefined
/** The texts without the faults: absent and null ones stay. */
type Taken<T extends Record<string, Given>> = { [K in keyof T]: Exclude<T[K], Fault> }

/**
 * Texts by the members that they came in. Throws BAD_REQUEST with the path and the code of each that is not taken.
 *
 * @param part where the members are: `body` or `query`
 */
export function taken<T extends Record<string, Given>>(part: 'body' | 'query', given: T): Taken<T> {
  const errors: Violation[] = []
  for (const [name, value] of Object.entries(given))
    if (isFault(value)) errors.push({ path: `${part}.${name}`, code: value.code, message: value.message })
  if (errors.length > 0) throw new SkerryError('BAD_REQUEST', { errors })
  return given as Taken<T>
}

export function isFault(value: unknown): value is Fault {
  return typeof value === 'object' && value !== null
}
