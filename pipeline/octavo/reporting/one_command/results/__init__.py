"""What the user gets: the folder of files, programs that run them, the advice and the text on the terminal."""
