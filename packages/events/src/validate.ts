import type { EventContract } from '@skerry/contracts'
import { Compile } from 'typebox/compile'

const compiled = new WeakMap<EventContract, (data: unknown) => string | undefined>()

/** A check of an event's payload that is compiled once: undefined when it fits, else where it doesn't. */
export function validatorOf(event: EventContract): (data: unknown) => string | undefined {
  const known = compiled.get(event)
  if (known !== undefined) return known
  const validator = Compile(event.data)
  const check = (data: unknown) => {
    if (validator.Check(data)) return undefined
    const first = validator.Errors(data)[0]
    return first === undefined ? 'invalid' : `${first.instancePath || '/'} ${first.message}`
  }
  compiled.set(event, check)
  return check
}
