import { HEADER, type TrafficRules, VERSION } from '@skerry/service'
import { StartError } from '@skerry/stores'

export type TrafficOptions = { header?: string[]; mirror?: string; reset?: boolean }

/** What a command line asks for: nothing to change, the end of all rules, or a change of them. */
export type Asked = {
  service: string | undefined
  change: undefined | ((rules: TrafficRules) => TrafficRules | undefined)
}

/**
 * Reads `[service] [version=percent …] [--header name=version …] [--mirror version[=percent]] [--reset]`. What is given replaces what was
 * said of the same kind; `none` as a header or mirror ends that kind. Throws a line that says what to write.
 */
export function parseTraffic(args: readonly string[], options: TrafficOptions): Asked {
  const [service, ...weights] = args
  const { header = [], mirror, reset = false } = options
  const changes = weights.length > 0 || header.length > 0 || mirror !== undefined
  if (service === undefined) {
    if (changes || reset) throw new StartError('give the name of the service: ./skerry traffic content 2.1.0=5%')
    return { service, change: undefined }
  }
  if (!/^[a-z][a-z0-9-]{0,63}$/.test(service))
    throw new StartError(
      `${service} is not the name of a service. Give the service first: ./skerry traffic content 2.1.0=5%`
    )
  if (reset && changes) throw new StartError('--reset ends all rules: give it alone')
  if (reset) return { service, change: () => undefined }
  if (!changes) return { service, change: undefined }
  const next: TrafficRules = {
    ...(weights.length === 0 ? {} : { weights: weightsOf(weights) }),
    ...(header.length === 0 || header.includes('none') ? {} : { headers: headersOf(header) }),
    ...(mirror === undefined || mirror === 'none' ? {} : { mirror: mirrorOf(mirror) })
  }
  const replaced = new Set([
    ...(weights.length === 0 ? [] : ['weights']),
    ...(header.length === 0 ? [] : ['headers']),
    ...(mirror === undefined ? [] : ['mirror'])
  ])
  return {
    service,
    change: (rules) => {
      const kept = Object.fromEntries(Object.entries(rules).filter(([kind]) => !replaced.has(kind)))
      const changed = { ...kept, ...next }
      return Object.keys(changed).length === 0 ? undefined : changed
    }
  }
}

function weightsOf(texts: readonly string[]): Record<string, number> {
  const weights = Object.fromEntries(
    texts.map((text) => {
      const [version = '', percent] = split(text)
      if (!VERSION.test(version) || percent === undefined)
        throw new StartError(`${text} is not a share of a version: write it as 2.1.0=5%`)
      return [version, percentOf(text, percent)]
    })
  )
  const total = Object.values(weights).reduce((sum, percent) => sum + percent, 0)
  if (total > 100)
    throw new StartError(`these shares add up to ${total} %: what is left of 100 % goes to the other versions`)
  return weights
}

function headersOf(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const [name = '', version = ''] = split(text)
      if (!HEADER.test(name.toLowerCase()) || !VERSION.test(version))
        throw new StartError(`--header ${text} does not fit: write it as --header x-tester=2.1.0`)
      return [name.toLowerCase(), version]
    })
  )
}

function mirrorOf(text: string): { version: string; percent: number } {
  const [version = '', percent] = split(text)
  if (!VERSION.test(version))
    throw new StartError(`--mirror ${text} does not fit: write it as --mirror 2.2.0 or --mirror 2.2.0=10%`)
  return { version, percent: percent === undefined ? 100 : percentOf(text, percent) }
}

function split(text: string): [string?, string?] {
  const equals = text.lastIndexOf('=')
  return equals === -1 ? [text] : [text.slice(0, equals), text.slice(equals + 1)]
}

function percentOf(text: string, percent: string): number {
  const value = /^\d{1,3}(\.\d{1,4})?%?$/.test(percent) ? Number.parseFloat(percent) : Number.NaN
  if (!(value <= 100)) throw new StartError(`${text} does not fit: give a percentage from 0 to 100, as in 2.1.0=5%`)
  return value
}
