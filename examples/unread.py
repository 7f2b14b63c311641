#!/usr/bin/env python3
"""Prints the subjects of the unread messages of an alias, with Python's imaplib over pine-rsh: unread.py work"""
import email.header
import email.parser
import imaplib
import sys

# Run with sh. The imapd has let us in already, so that there is no login() to call.
imap = imaplib.IMAP4_stream('/usr/bin/pine-rsh ' + sys.argv[1])
imap.select('INBOX', readonly=True)
_, (found,) = imap.search(None, 'UNSEEN')
for number in found.split():
    _, parts = imap.fetch(number.decode(), '(BODY.PEEK[HEADER.FIELDS (SUBJECT)])')
    header = email.parser.BytesParser().parsebytes(parts[0][1])
    print(email.header.make_header(email.header.decode_header(header['Subject'] or '')))
imap.logout()
