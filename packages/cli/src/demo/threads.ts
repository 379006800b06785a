import type { Mail } from './mail.ts'

/** Where a mail stands: `root` is the mail that began its thread (itself for a post), `answered` the one it answers, if it is here. */
export type Placed = { mail: Mail; root: Mail; answered: Mail | undefined }

const SUBJECT_MS = 30 * 24 * 3600 * 1000
const ANSWER = /^(?:\[[^\]]*\]\s*)*(?:re|aw|sv|antw)\s*(?:\[\d+\]|\(\d+\))?\s*:/i
const PREFIX = /^(?:\s*(?:\[[^\]]*\]|(?:re|fwd?|aw|sv|antw)\s*(?:\[\d+\]|\(\d+\))?\s*:))+\s*/i

/** A subject without `Re:`, `Fwd:` and the name of the list. */
export function bareSubject(subject: string): string {
  return subject.replace(PREFIX, '').replace(/\s+/g, ' ').trim().toLowerCase()
}

/**
 * Puts mails, in the order of their dates, into threads: by what they answer (`In-Reply-To`, `References`), by an ancestor they share that
 * is not here, and for a `Re:` without either by its subject within 30 days. A mail joins what came before it and never moves
 * threads that stand, so the first N mails are always placed the same.
 */
export function placeInThreads(mails: readonly Mail[]): Placed[] {
  const byId = new Map<string, Placed>()
  const byMissing = new Map<string, Mail>()
  const bySubject = new Map<string, { root: Mail; date: number }>()

  return mails.map((mail) => {
    const subject = bareSubject(mail.subject)
    const placed = place(mail, subject)
    if (mail.messageId !== '') byId.set(mail.messageId, placed)
    for (const id of mail.answers) if (!byId.has(id) && !byMissing.has(id)) byMissing.set(id, placed.root)
    if (subject !== '') bySubject.set(subject, { root: placed.root, date: mail.date })
    return placed
  })

  function place(mail: Mail, subject: string): Placed {
    for (const id of mail.answers) {
      const answered = byId.get(id)
      if (answered !== undefined) return { mail, root: answered.root, answered: answered.mail }
    }
    for (const id of mail.answers) {
      const root = byMissing.get(id)
      if (root !== undefined) return { mail, root, answered: undefined }
    }
    const same = ANSWER.test(mail.subject) ? bySubject.get(subject) : undefined
    if (same !== undefined && mail.date - same.date <= SUBJECT_MS) return { mail, root: same.root, answered: same.root }
    return { mail, root: mail, answered: undefined }
  }
}
