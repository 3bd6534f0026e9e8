"""The kinds of jobs: one file each, holding what may be asked, what is refused, what is drawn and who learns what."""
