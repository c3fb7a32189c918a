"""Images in: every source gives a `Split`. Import the module of a source; nothing is loaded here."""
