const WIDTH = 120

/** JSON for people who read a diff: what fits into a line of 120 stands in one. */
export function printJson(value: unknown): string {
  return `${print(value, '', 0)}\n`
}

function print(value: unknown, indent: string, before: number): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const line = inline(value)
  if (indent.length + before + line.length + 1 <= WIDTH) return line
  const deeper = `${indent}  `
  if (Array.isArray(value)) return `[\n${value.map((one) => deeper + print(one, deeper, 0)).join(',\n')}\n${indent}]`
  const members = Object.entries(value).map(([name, one]) => {
    const key = `${JSON.stringify(name)}: `
    return deeper + key + print(one, deeper, key.length)
  })
  return `{\n${members.join(',\n')}\n${indent}}`
}

function inline(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`
  const members = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${inline(one)}`)
  return members.length === 0 ? '{}' : `{ ${members.join(', ')} }`
}
