"""Effects as they are applied: what a SceneSpec names, with its numbers; nothing is drawn here."""
