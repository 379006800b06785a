import { BaseConfigSchema, NatsConfigSchema } from '@skerry/service'
import type { TSchema } from 'typebox'
import { SETTINGS } from './config.ts'

type Member = TSchema & {
  description?: string
  default?: unknown
  minimum?: number
  maximum?: number
  enum?: readonly string[]
}

const INTRO = `# Settings of the gateway

Environment variables, read at start. Names that end in \`_MS\` are milliseconds, sizes are bytes. A value out of bounds ends the start with one line that
names it. This page is made of the schemas in \`apps/gateway/src/settings\` by
\`node --run settings\` in \`apps/gateway\`; a test fails when they differ.
`

/** docs/gateway-settings.md: a table for each group of settings, and what every app reads. */
export function settingsPage(): string {
  const everywhere = Object.entries({ ...BaseConfigSchema.properties, ...NatsConfigSchema.properties })
  const own = new Set(Object.values(SETTINGS).flatMap((group) => Object.keys(group)))
  const shared = everywhere.filter(([name]) => !own.has(name))
  const groups = Object.entries(SETTINGS).map(
    ([title, group]) => [title, Object.entries(group)] as [string, [string, Member][]]
  )
  return `${INTRO}${[...groups, ['Every app', shared as [string, Member][]] as const].map(([title, rows]) => section(title, rows)).join('')}`
}

function section(title: string, settings: readonly (readonly [string, Member])[]): string {
  const rows = settings.map(
    ([name, member]) => `| \`${name}\` | ${defaultOf(member)} | ${boundsOf(member)} | ${member.description ?? ''} |`
  )
  return `\n## ${title}\n\n| setting | default | bounds | what it is |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
}

function defaultOf({ default: value }: Member): string {
  if (value === undefined) return ''
  if (typeof value === 'number') return plain(value)
  return value === '' ? 'none' : `\`${String(value)}\``
}

function boundsOf(member: Member): string {
  if (member.enum !== undefined) return member.enum.map((one) => `\`${one}\``).join(', ')
  const { minimum, maximum } = member
  if (minimum === undefined || maximum === undefined) return ''
  return `${plain(minimum)} to ${plain(maximum)}`
}

/** With commas from five digits on: ports have none. */
function plain(value: number): string {
  return value.toLocaleString('en', { useGrouping: 'min2' })
}
