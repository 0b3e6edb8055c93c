"""The words of the rehearsal's ministries, in the languages of the letters."""

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "office": "Ministry of Foreign Affairs",
        "automatic": "Automatic reply:",
        "re": "RE:",
        "your_letter": "Your letter",
        "wrote": "On {day}, {name} wrote:",
        "acknowledgement": (
            "Thank you for your message. It has reached the Ministry and will be passed to the department "
            "concerned.\n\n"
            "This is an automatic reply. Please do not answer it."
        ),
        "answer": (
            "Dear Sir or Madam,\n\n"
            "The Minister has asked me to thank you for your letter, which has been read with attention.\n\n"
            "Our country is committed to multilateralism and will take an active part in the anniversary of "
            "the United Nations. Your requests have been passed to our Permanent Mission in New York.\n\n"
            "Yours faithfully,\n\n"
            "Office of the Minister"
        ),
    },
    "fr": {
        "office": "Ministère des Affaires étrangères",
        "automatic": "Réponse automatique :",
        "re": "RE:",
        "your_letter": "Votre lettre",
        "wrote": "Le {day}, {name} a écrit :",
        "acknowledgement": (
            "Votre message est bien parvenu au ministère. Il sera transmis au service compétent.\n\n"
            "Ceci est une réponse automatique, à laquelle il est inutile de répondre."
        ),
        "answer": (
            "Madame, Monsieur,\n\n"
            "Le Ministre a pris connaissance de votre lettre avec attention et me charge de vous en "
            "remercier.\n\n"
            "Notre pays est attaché au multilatéralisme et prendra une part active à l'anniversaire des "
            "Nations Unies. Vos demandes ont été transmises à notre mission permanente à New York.\n\n"
            "Veuillez agréer, Madame, Monsieur, l'expression de ma considération distinguée.\n\n"
            "Le cabinet du Ministre"
        ),
    },
    "es": {
        "office": "Ministerio de Relaciones Exteriores",
        "automatic": "Respuesta automática:",
        "re": "RE:",
        "your_letter": "Su carta",
        "wrote": "El {day}, {name} escribió:",
        "acknowledgement": (
            "Su mensaje ha llegado al Ministerio y se remitirá a la unidad competente.\n\n"
            "Esta es una respuesta automática; no es necesario contestarla."
        ),
        "answer": (
            "Estimada señora, estimado señor:\n\n"
            "El Ministro ha leído su carta con atención y me encarga que se la agradezca.\n\n"
            "Nuestro país está comprometido con el multilateralismo y participará activamente en el "
            "aniversario de las Naciones Unidas. Sus peticiones se han trasladado a nuestra Misión "
            "Permanente en Nueva York.\n\n"
            "Le saluda atentamente,\n\n"
            "El gabinete del Ministro"
        ),
    },
}
