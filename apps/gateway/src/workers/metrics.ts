/** Joins Prometheus texts of several processes into one: each family's help and type once, then the samples of all. */
export function mergeMetrics(texts: readonly string[]): string {
  const families = new Map<string, { head: Map<string, string>; samples: string[] }>()
  for (const text of texts) {
    let family: { head: Map<string, string>; samples: string[] } | undefined
    for (const line of text.split('\n')) {
      const comment = /^# (HELP|TYPE) (\S+)/.exec(line)
      if (comment !== null) {
        const [, kind, name] = comment as unknown as [string, string, string]
        family = families.get(name) ?? { head: new Map(), samples: [] }
        families.set(name, family)
        if (!family.head.has(kind)) family.head.set(kind, line)
      } else if (line !== '' && !line.startsWith('#')) family?.samples.push(line)
    }
  }
  return Array.from(families.values(), ({ head, samples }) => [...head.values(), ...samples].join('\n'))
    .join('\n\n')
    .concat('\n')
}
