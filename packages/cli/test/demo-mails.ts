import type { RawMail } from '../src/demo/mail.ts'

/** A mail from lines of Latin-1, so that bytes above 127 arrive as they are written. */
export function mail(key: string, ...lines: string[]): RawMail {
  return { key, raw: Buffer.from(lines.join('\n'), 'latin1') }
}

const head = (from: string, id: string, date: string, subject: string, ...more: string[]) => [
  `From: ${from}`,
  `Message-ID: <${id}>`,
  `Date: ${date}`,
  `Subject: ${subject}`,
  ...more,
  ''
]

/** A small mailing list: two threads, a feed, a private reply, and what comes with real mail. */
export const MAILS: RawMail[] = [
  mail(
    'list/001',
    'From ada@lovelace.example  Thu Aug 22 12:36:23 2002',
    ...head('"Ada Lovelace" <Ada@lovelace.example>', 'a1@x', 'Thu, 22 Aug 2002 12:00:00 +0100', '[MATH] An engine'),
    'Has anybody built the engine? Write to ada@lovelace.example or babbage@difference.example.'
  ),
  mail(
    'list/002',
    ...head(
      'Charles Babbage <babbage@difference.example>',
      'b1@x',
      'Thu, 22 Aug 2002 13:00:00 +0100',
      'Re: [MATH] An engine',
      'In-Reply-To: <a1@x>',
      'List-Id: Mathematics <math.lists.example>'
    ),
    'Not yet.'
  ),
  mail(
    'list/003',
    ...head(
      'Ada Lovelace <ada@lovelace.example>',
      'a2@x',
      'Thu, 22 Aug 2002 14:00:00 +0100',
      'RE: [MATH] Re: An  engine',
      'References: <gone@x> <a1@x>',
      '\t<b1@x>'
    ),
    'A pity.'
  ),
  mail(
    'list/004',
    ...head(
      '=?iso-8859-1?Q?P=E1draig_Brady?= <p@linux.example>',
      'p1@x',
      'Fri, 23 Aug 2002 09:00:00 GMT',
      '=?utf-8?B?w6l0w6k=?=',
      'Content-Type: text/plain; charset=iso-8859-15',
      'Content-Transfer-Encoding: quoted-printable',
      'List-Id: <ilug.linux.example>'
    ),
    'It costs 5 =A4 in =',
    'all.'
  ),
  mail(
    'list/005',
    ...head(
      'babbage@difference.example (Charles Babbage)',
      'b2@x',
      'Fri, 23 Aug 2002 10:00:00 GMT',
      'Re: =?utf-8?B?w6l0w6k=?='
    ),
    'By subject alone, with a raw \xa3 and a \x92quote\x92.'
  ),
  mail(
    'list/006',
    ...head('x@gone.example', 'x1@x', 'Fri, 23 Aug 2002 11:00:00 GMT', 'Re: lost', 'In-Reply-To: <unknown@x>'),
    'One'
  ),
  mail(
    'list/007',
    ...head('y@gone.example', 'y1@x', 'Fri, 23 Aug 2002 12:00:00 GMT', 'Re: lost too', 'References: <unknown@x>'),
    'Two'
  ),
  mail('list/008', ...head('x@gone.example', 'x1@x', 'Fri, 23 Aug 2002 13:00:00 GMT', 'same id'), 'Another text'),
  mail('list/009', 'Subject: nobody', 'Date: Fri, 23 Aug 2002 13:00:00 GMT', '', 'No sender'),
  mail('list/010', 'From: a@b.example', 'Subject: never', '', 'No date at all'),
  mail('list/011', ...head('a@b.example', 'e1@x', 'Fri, 23 Aug 2002 13:00:00 GMT', 'empty'), '  ', ''),
  mail(
    'list/012',
    'Received: from a by b; Fri, 23 Aug 2002 15:00:00 +0100 (IST)',
    ...head('"Feed: one" <rss@feeds.example>', 'f1@x', 'Mon, 4 Oct 2028 13:00:00 GMT', '', 'Content-Type: text/html'),
    '<html><head><title>no</title><style>p{}</style></head><p>One &amp; two&#233;<br>three<script>alert(1)</script></p><li>item</html>'
  ),
  mail(
    'list/013',
    ...head('two <rss@feeds.example>', 'f2@x', 'Fri, 23 Aug 2002 16:00:00 GMT', 's'.repeat(300)),
    'Long title'
  ),
  mail(
    'list/014',
    ...head('three <rss@feeds.example>', 'f3@x', 'Fri, 23 Aug 2002 17:00:00 GMT', 'big'),
    'word '.repeat(6000)
  ),
  mail('list/015', ...head('Kevin <kevin+1@dated.example>', 'k1@x', 'Fri, 23 Aug 2002 18:00:00 GMT', 'k'), 'First'),
  mail(
    'list/016',
    ...head('Kevin <kevin+2@dated.example>', 'k2@x', 'Fri, 23 Aug 2002 19:00:00 GMT', 'Re: big', 'In-Reply-To: <f3@x>'),
    'nul \x00 and\x07 bell\r',
    'line '.repeat(2000)
  )
]
