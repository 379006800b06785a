import { jsonBodyOf, MERGE_PATCH_TYPE, type RouteContract, type Violation } from '@skerry/contracts'
import { IsOptional, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { TValidationError } from 'typebox/error'
import { dropAbsentOf } from './absent-members.ts'
import { arrayBoundsOf } from './array-bounds.ts'
import { clip } from './json-parser.ts'

type Member = { type?: string; default?: unknown }
type ObjectSchema = TSchema & { properties?: Record<string, Member> }
type Part = 'params' | 'query' | 'body'

/** Undefined when the value fits. */
export type Validator = (value: unknown) => Violation[] | undefined

/** Checks of one route, compiled once. */
export type RouteValidators = {
  params: Validator
  /** Converts numbers and booleans and fills defaults in place before it checks. */
  query: Validator
  /** Takes away in place what stands for absent members, unless it is a merge patch: there null and empty lists are values. */
  body: (value: unknown, mergePatch?: boolean) => Violation[] | undefined
}

/** Compiles the validators of a contract. A part without a schema takes nothing: the query no member, the body nothing or `{}`. */
export function validatorsOf(contract: RouteContract): RouteValidators {
  const body = jsonBodyOf(contract)
  return {
    params: contract.params === undefined ? () => undefined : validatorOf(contract.params, 'params'),
    query: contract.query === undefined ? (value) => refuseMembers(value, 'query') : queryValidator(contract.query),
    body: body === undefined ? (value) => refuseMembers(value, 'body') : bodyValidator(body, contract)
  }
}

/** A compiled validator whose violations begin with the part's name: `body.tags.2`. An array that is too long is all that is told. */
export function validatorOf(schema: TSchema, part: Part): Validator {
  const compiled = Compile(schema)
  const tooLong = arrayBoundsOf(schema)
  return (value) => {
    const over = tooLong?.(value, part)
    if (over !== undefined) return over
    if (compiled.Check(value)) return undefined
    if (value === undefined) return [{ path: part, code: 'required', message: 'is required' }]
    return violationsOf(compiled.Errors(value), part)
  }
}

/** An optional body may be left out, and an optional member of a body may be null instead, in an edit also an empty list. */
function bodyValidator(schema: TSchema, { method, keepsNull }: RouteContract): RouteValidators['body'] {
  const validate = validatorOf(schema, 'body')
  const dropAbsent = keepsNull ? undefined : dropAbsentOf(schema, method === 'PATCH')
  const optional = IsOptional(schema)
  return (value, mergePatch = false) => {
    if (optional && (value === undefined || value === null)) return undefined
    const dropped = !mergePatch && dropAbsent !== undefined && dropAbsent(value)
    const violations = validate(value)
    return dropped ? violations?.map(explainEmpty) : violations
  }
}

/** Who sent only what stands for absent members meant to clear something, or had nothing to say: both are helped. */
function explainEmpty(violation: Violation): Violation {
  if (violation.path !== 'body' || violation.code !== 'too_few') return violation
  return {
    ...violation,
    message: `${violation.message}: null and empty lists mean absent, except in ${MERGE_PATCH_TYPE}`
  }
}

function queryValidator(schema: TSchema): Validator {
  const properties = Object.entries((schema as ObjectSchema).properties ?? {})
  const converted = properties.filter(([, m]) => m.type === 'integer' || m.type === 'number' || m.type === 'boolean')
  const defaults = properties.filter(([, m]) => m.default !== undefined)
  const validate = validatorOf(schema, 'query')
  return (value) => {
    const query = value as Record<string, unknown>
    for (const [name, member] of converted) {
      const text = query[name]
      if (typeof text === 'string') query[name] = convert(text, member.type)
    }
    for (const [name, member] of defaults) if (query[name] === undefined) query[name] = member.default
    return validate(query)
  }
}

/** Only what reads as the type in full is converted: `1e2`, ` 1` and `0x1` stay text and are refused. */
function convert(text: string, type: string | undefined): unknown {
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  return /^-?(?:0|[1-9]\d{0,15})(?:\.\d{1,15})?$/.test(text) ? Number(text) : text
}

function refuseMembers(value: unknown, part: Part): Violation[] | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'object' || Array.isArray(value))
    return [{ path: part, code: 'unknown', message: 'is not accepted here' }]
  let violations: Violation[] | undefined
  for (const name in value) {
    violations ??= []
    if (violations.push({ path: clip(`${part}.${name}`), code: 'unknown', message: 'is not a member' }) === 8) break
  }
  return violations
}

const CODES: Readonly<Record<string, string>> = {
  minLength: 'too_short',
  maxLength: 'too_long',
  minimum: 'too_small',
  exclusiveMinimum: 'too_small',
  maximum: 'too_large',
  exclusiveMaximum: 'too_large',
  minItems: 'too_few',
  maxItems: 'too_many',
  minProperties: 'too_few',
  maxProperties: 'too_many',
  uniqueItems: 'not_unique',
  const: 'enum'
}

/** TypeBox's errors as violations: one a member, without what repeats another. */
function violationsOf(errors: TValidationError[], part: Part): Violation[] {
  const found: Violation[] = []
  for (const error of errors) {
    const path = clip(part + pathOf(error.instancePath))
    if (error.keyword === 'required') {
      for (const name of error.params.requiredProperties)
        found.push({ path: `${path}.${name}`, code: 'required', message: 'is required' })
    } else if (error.keyword === 'additionalProperties') {
      for (const name of error.params.additionalProperties.slice(0, 8)) {
        found.push({ path: clip(`${path}.${name}`), code: 'unknown', message: 'is not a member' })
      }
    } else if (error.keyword !== 'boolean' && error.keyword !== 'anyOf' && !isNullBranch(error, errors)) {
      const message = (error as { message?: string }).message ?? 'is not valid'
      found.push({ path, code: CODES[error.keyword] ?? error.keyword, message })
    }
  }
  return found.length > 0 ? found : [{ path: part, code: 'invalid', message: 'is not valid' }]
}

/** `must be null` says nothing when the other branch of a nullable says what is wrong. */
function isNullBranch(error: TValidationError, all: TValidationError[]): boolean {
  if (error.keyword !== 'type' || error.params.type !== 'null' || !error.schemaPath.includes('/anyOf/')) return false
  return all.some((other) => other !== error && other.keyword !== 'anyOf' && other.instancePath === error.instancePath)
}

/** A JSON pointer as `.a.0`. */
function pathOf(pointer: string): string {
  return pointer.replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~')
}
