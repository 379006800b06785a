import { validateHeaderName, validateHeaderValue } from 'node:http'
import { HOP_BY_HOP } from '../hop-by-hop.ts'

/** The head of an answer before it is written, as a policy sees and changes it. Names are in lower case. */
export type AnswerHead = {
  readonly status: number
  /** What it says, several lines as one list; undefined where it says nothing. */
  get(name: string): string | undefined
  /** Says this and nothing else by that name. Throws for what is no header, and for what delimits the message. */
  set(name: string, value: string): void
  remove(name: string): void
}

/** What would make another message of an answer. */
const DELIMITERS: ReadonlySet<string> = new Set([...HOP_BY_HOP, 'content-length'])

/** Throws for a header that a policy cannot set. */
export function assertSettable(name: string, value: string): void {
  validateHeaderName(name)
  validateHeaderValue(name, value)
  if (name !== name.toLowerCase()) throw new TypeError(`${name}: names of headers are in lower case here`)
  if (DELIMITERS.has(name)) throw new TypeError(`${name} delimits the answer: it is not a policy's to set`)
}

/** The head in a list (name, value, name, value), which is changed in place. */
export function headInList(status: number, list: string[]): AnswerHead {
  const remove = (name: string) => {
    if (DELIMITERS.has(name)) throw new TypeError(`${name} delimits the answer: it is not a policy's to take away`)
    let to = 0
    for (let from = 0; from < list.length; from += 2) {
      if (list[from] === name) continue
      list[to] = list[from]!
      list[to + 1] = list[from + 1]!
      to += 2
    }
    list.length = to
  }
  return {
    status,
    get(name) {
      const values = list.filter((_, i) => i % 2 === 1 && list[i - 1] === name)
      return values.length === 0 ? undefined : values.join(', ')
    },
    set(name, value) {
      assertSettable(name, value)
      remove(name)
      list.push(name, value)
    },
    remove
  }
}
