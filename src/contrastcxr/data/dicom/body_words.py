"""Words for the chest and for other parts of the body, in the languages of the places where radiographs are taken.

A word is a part of a word, or a whole one where it begins with `=`. Case, accents and punctuation do not count, so
`ö` stands for `o` and `Ö`; spellings such as `oe` have an entry of their own. The table is ours.
"""

from __future__ import annotations

UNSTATED = (
    "unknown, undefined, none, other, unspecified, not specified, not applicable, n a, na, null, "
    "nil, any, default, unbekannt, inconnu, desconocido, desconhecido, sconosciuto, onbekend, "
    "неизвестно, 不明, 未知"
)
"""What stands for no statement, alone."""

CHEST = {
    "English": "chest, thorax, lung, =cxr, =chx, =thx",
    "Latin, Spanish, Portuguese, Catalan": "torax, pulm, =pecho, =peito",
    "German": "=brust, brustkorb",
    "French": "poitrine, poumon, cage thoracique",
    "Italian, Romanian": "torace, =petto, polmon, =piept, plaman",
    "Dutch": "=borst, borstkas, =longen",
    "Danish, Norwegian, Swedish, Icelandic": "=bryst, brystkasse, =brost, brostkorg, brjost",
    "Finnish, Estonian": "=rinta, rintakeha, keuhko, rindkere, =kops, kopsu",
    "Latvian, Lithuanian": "kruskurv, plaus, krutin, plauci",
    "Polish, Czech, Slovak": "klatk, =klp, pluc, hrudnik, =hrud, plice",
    "Croatian, Serbian, Slovenian": "grudni kos, prsni kos, =grudi, =prsa, pljuc",
    "Hungarian, Albanian": "mellkas, =tudo, kraharor",
    "Turkish": "toraks, gogus kafes, akciger",
    "Russian, Ukrainian, Belarusian": "клетк, клітк, =огк, =грудь, =груди, легк, леген, торакс",
    "Bulgarian, Serbian": "гръден кош, гръдния кош, =гърди, бял дроб, грудни кош, плућ",
    "Greek": "=θωρακας, =θωρακα, =θωρακος, =θωραξ, πνευμον, στηθ",
    "Georgian, Armenian": "გულმკერდ, კრծքավանդակ, կրծքավանդակ",
    "Chinese, Japanese": "胸部, 胸片, 胸腔, 胸廓, 胸腹, 胸正, 胸侧, =胸, 肺",
    "Korean": "흉부, 흉곽, 가슴, 폐",
    "Arabic, Persian, Urdu": "=صدر, =الصدر, رئة, رئتين, سینه, سينه, ریه, سینہ, چھاتی",
    "Hebrew": "חזה, ריאה, ריאות",
    "Hindi, Bengali": "छाती, वक्ष, फेफड, বুক, ফুসফুস",
    "Thai": "ทรวงอก, หน้าอก, ปอด",
    "Vietnamese": "lồng ngực, =phoi",
    "Indonesian, Malay, Filipino, Swahili": "=dada, =paru, toraks, dibdib, kifua",
}
"""The chest, also where another part is named beside it."""

OF_THE_CHEST = (
    "thorac, torac, thorak, torak, brust, borst, bryst, bröst, rinta, piersi, hrudn, prsn, grudn, "
    "göğüs, ngực, груд, гръд, θωρακ, 胸, 흉, صدر"
)
"""The chest where no other part is named: these are in names of the thoracic spine, too."""

BONES_OF_THE_CHEST = {
    "spine": (
        "spin, vertebr, =back, =bws, =hws, =lws, =bwk, =hwk, =lwk, =tsp, =csp, =lsp, lumb, lomb, cervic, "
        "sacr, coccyx, "
        "wirbel, steißbein, rachis, rachid, column, colonn, coluna, coloana, wervel, kręgos, kręgow, "
        "=páteř, =páteře, obratel, obratl, chrbtic, kičm, kralješ, kralježnic, hrbteni, ryggrad, "
        "rygg, rygsøjle, hvirvel, virvel, ranka, rangan, nikama, lülisam, mugurkaul, stubur, gerinc, "
        "csigolya, omurga, omurlar, позвон, хребет, хребт, гръбнак, гръбнач, прешлен, кичм, σπονδυλ, "
        "脊, 椎, 척추, 흉추, 요추, 경추, فقر, שדרה, רीढ़, रीढ़, กระดูกสันหลัง, cột sống, đốt sống, tulang "
        "belakang"
    ),
    "sternum": (
        "sternum, sternal, sterno, esternón, brustbein, borstbeen, bröstben, brystben, mostek, "
        "rintalasta, szegycsont, грудин, στερν, 胸骨, 흉골, tulang dada, hrudní kost, prsna kost"
    ),
}
"""Parts whose names may hold that of the chest."""

ELSEWHERE = {
    "hand": (
        "hand, =main, =mains, =mano, =manos, =mani, =mão, =mãos, =dłoń, =ruka, =ruky, =käsi, =kéz, "
        "=manus, кист, =рука, =руки, χερι, χειρ, 手, =손, =يد, =اليد, יד, हाथ, bàn tay, tangan"
    ),
    "wrist": (
        "wrist, poignet, muñeca, polso, punho, pulso, nadgarst, zápěst, bilek, csukló, ranne, carp, "
        "karp, запяст, καρπ, 손목, رسغ, pergelangan"
    ),
    "finger": (
        "finger, thumb, daumen, doigt, pouce, =dedo, =dedos, pulgar, =dito, =dita, pollice, polegar, "
        "vinger, =palec, =prst, =prsty, =prsti, sormi, parmak, палец, пальц, δακτυλ, 指, 손가락, phalan, "
        "falang"
    ),
    "elbow": (
        "elbow, ellbogen, ellenbogen, coude, =codo, gomito, cotovelo, elleboog, łokieć, =loket, "
        "=lakat, armbåge, albue, kyynär, könyök, dirsek, локт, αγκων, 肘, 팔꿈치, كوع, מרפק, khuỷu, =siku"
    ),
    "shoulder": (
        "shoulder, schulter, épaule, hombro, spalla, ombro, schouder, =bark, =rameno, =rame, skulder, "
        "=axel, olkapää, =váll, omuz, плеч, =ωμος, =ωμου, 肩, 어깨, كتف, כתף, bahu, =vai, clavic, "
        "clavícul, schlüsselbein, schluesselbein, obojczyk, ключиц, scapul, omoplat, acromi, akromi"
    ),
    "arm": (
        "=arm, =arms, forearm, upperarm, unterarm, oberarm, onderarm, bovenarm, =bras, avantbras, "
        "brazo, braccio, braço, =ramię, przedrami, předlokt, podlaktic, предплеч, 前臂, 上臂, 前腕, 上腕, =팔, "
        "humer, húmero, =radius, radiusulna, =ulna, antebra, lengan"
    ),
    "foot": (
        "=foot, =feet, =lfoot, =rfoot, =fuß, füße, fuesse, =pied, =pieds, =pie, =pies, =piede, "
        "=piedi, =pé, voet, =stopa, =stopy, =stopala, =fot, =fod, jalkater, =ayak, =láb, стоп, ποδι, "
        "足, =발, قدم, bàn chân, calcan, =heel, ferse, =talon, hallux, tars"
    ),
    "toe": "=toe, =toes, zehe, orteil, 趾, 발가락",
    "ankle": (
        "ankle, sprunggelenk, =osg, cheville, tobillo, caviglia, tornozelo, =enkel, =kostka, =kotnik, "
        "hlezn, gležanj, =ankel, nilkka, =boka, голеност, лодыж, αστραγαλ, 踝, 발목, كاحل, קרסול, cổ "
        "chân"
    ),
    "knee": (
        "knee, knie, genou, rodilla, ginocchi, joelho, genunchi, genoll, kolan, =kolen, koleno, "
        "koljen, =knä, =kne, =knæ, polvi, =térd, =diz, колен, γονατ, 膝, 무릎, ركبة, ברך, घुटन, đầu gối, "
        "lutut, patell, patela, rotula, =rotule"
    ),
    "leg": (
        "=leg, =legs, lowerleg, upperleg, =bein, =beine, unterschenkel, oberschenkel, =jambe, "
        "=jambes, cuisse, pierna, muslo, =gamba, =gambe, coscia, =perna, onderbeen, bovenbeen, =noga, "
        "podudzi, bérec, bacak, голен, бедр, 下肢, 大腿, 小腿, 下腿, =다리, ساق, tibia, =tib, fibul, femur, "
        "fémur, fêmur, femor, thigh, =calf"
    ),
    "hip": (
        "=hip, =hips, =lhip, =rhip, hüft, hueft, hanche, cadera, =anca, quadril, =heup, biodr, "
        "=kyčel, kyčl, =kuk, =höft, =hofte, lonkka, csípő, kalça, тазобедр, ισχι, 髋, 髖, 股関節, 고관절, "
        "ورك, ירך, pinggul"
    ),
    "pelvis": (
        "pelvi, pelwi, becken, =bassin, bacino, =bacia, bazin, bekken, miednic, =pánev, pánve, "
        "zdjelic, karlic, medenic, =bäcken, buttock, ilium, ovary, uterus, cervix, prostate, penis, "
        "scrotum, testis, urethra, vagina, vulva, lantio, medence, =таз, =таза, 骨盆, 骨盤, 골반, حوض, אגן, "
        "xương chậu, panggul, leğen kemi"
    ),
    "abdomen": (
        "abdom, addom, =abd, =bauch, =ventre, vientre, =buik, brzuch, břich, brucho, trbuh, =buk, "
        "=mave, vatsa, =has, =hasi, =karın, karin, живот, брюш, черев, κοιλια, 腹, 복부, بطن, בטן, पेट, "
        "=bụng, perut, =kub, adrenal, kidney, renal, liver, hepat, stomach, gastr, duoden, jejun, "
        "ileum, colon, rectum, spleen, pancrea, gallbladder, bladder, ureter"
    ),
    "head": (
        "=head, headneck, skull, brain, cerebell, circleofwillis, scalp, schädel, schaedel, =kopf, "
        "crâne, crani, =tête, cabez, =testa, cabeça, =hoofd, schedel, czaszk, =głowa, =głowy, lebk, "
        "=hlava, lubanj, =glava, =skalle, =kranie, kraniet, =kallo, koponya, kafatas, череп, голов, "
        "κεφαλ, κρανι, 头, 頭, 颅, 顱, 두개, 머리, رأس, جمجمة, ראש, גולגולת, kepala, =face, facial, gesicht, "
        "=nose, nasal, =nase, =nez, nariz, orbit, sinus, =nnh, =jaw, mandib, maxill, kiefer, zygom, "
        "cheek, =ear, =eye, eyelid, cornea, sclera, =iac, mouth, tongue, parotid, =tmj, mastoid, 鼻, "
        "面部, 顔"
    ),
    "teeth": ("teeth, tooth, dental, =dent, =dents, =zahn, zähne, dientes, =zuby, =zub, zęb, 歯, 牙, зуб, =opg"),
    "neck": (
        "=neck, larynx, pharynx, thyroid, carotid, =hals, =cou, cuello, =collo, pescoço, =nek, "
        "=szyja, =szyi, =krk, =vrat, =kaula, =nyak, boyun, =шея, =шеи, λαιμ, 颈部, 頸部, 首, =목, رقبة, "
        "צוואר"
    ),
    "breast": ("breast, mamm, =mama, =mamas, =sein, =seins, =seno, молочн, 乳, 유방, ثدي"),
    "extremity": "extrem, limb, gliedma, kończyn, končetin, конечност, 四肢, 사지",
}
"""Other parts, by their English name."""
