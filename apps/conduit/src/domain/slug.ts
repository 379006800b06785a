const LONGEST = 80
/** Words that are routes beside slugs. */
const ROUTES = new Set(['feed'])

/** A title as part of a URL: `How to train your dragon!` is `how-to-train-your-dragon`. What has no Latin letter or digit is `article`. */
export function slugOf(title: string): string {
  const words = title
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
    .join('-')
    .slice(0, LONGEST)
    .replace(/-$/, '')
  return words === '' ? 'article' : words
}

/** The slugs that an article may have, the nicest first; the last is nobody else's. They depend on the article alone, so a rebuild finds the same. */
export function slugsFor(title: string, postId: string): string[] {
  const slug = slugOf(title)
  const all = [slug, `${slug}-${postId.slice(-6)}`, `${slug}-${postId}`]
  return ROUTES.has(slug) ? all.slice(1) : all
}
