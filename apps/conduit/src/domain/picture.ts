import { trim } from '@skerry/text'
import { invalid } from '../errors.ts'

/** Whether a front end may load it as a picture: `javascript:` and `data:` URLs run or bring whatever their author likes. */
export function isPicture(url: string): boolean {
  if (/[\p{Cc}\p{White_Space}]/u.test(url)) return false
  return ['http:', 'https:'].includes(URL.parse(url)?.protocol ?? '')
}

/** The URL of somebody's picture as it is kept; null for none. Throws 422 for what is no picture. */
export function pictureOf(typed: string | null): string | null {
  const url = trim(typed ?? '')
  if (url === '') return null
  if (!isPicture(url)) throw invalid('image', 'must be the http or https URL of a picture')
  return url
}
