#compdef theta
# zsh runs bash's completion.
autoload -Uz bashcompinit && bashcompinit
source "${0:A:h}/../../theta/completion.bash"
_bash_complete -o filenames -F _theta
