import { IdSchema, TimeSchema } from '@skerry/contracts'

type Schema = {
  type?: string
  pattern?: string
  const?: unknown
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
}

/** A value that fits a schema of the contracts, as the source of an expression; ids are made where it runs. */
export function exampleOf(schema: object): string {
  const { type, pattern, anyOf, properties, required = [], ...rest } = schema as Schema
  if (anyOf !== undefined) return exampleOf(anyOf.find((one) => one.type === 'null') ?? anyOf[0]!)
  if (rest.const !== undefined) return JSON.stringify(rest.const)
  if (pattern === patternOf(IdSchema)) return 'newId(0)'
  if (pattern === patternOf(TimeSchema)) return "'2026-01-31T09:30:00.000Z'"
  switch (type) {
    case 'string':
      return "'example'"
    case 'integer':
    case 'number':
      return '1'
    case 'boolean':
      return 'true'
    case 'null':
      return 'null'
    case 'array':
      return '[]'
    default:
      return `{ ${Object.entries(properties ?? {})
        .filter(([name]) => required.includes(name))
        .map(([name, member]) => `${name}: ${exampleOf(member)}`)
        .join(', ')} }`
  }
}

const patternOf = (schema: object) => (schema as Schema).pattern
