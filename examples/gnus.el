;;; gnus.el --- Gnus over pine-rsh: lines for ~/.gnus.el  -*- lexical-binding: t -*-

;; work is an alias: ~/.config/pine-rsh/hosts/work.env. The address is a name for Gnus's own use. The imapd has let us in
;; already, so that Gnus asks for no password.
(setq gnus-select-method
      '(nnimap "work"
               (nnimap-address "work")
               (nnimap-stream shell)
               (nnimap-shell-program "/usr/bin/pine-rsh work")))
